// Anthropic's Messages: what a request becomes, and the exact events of an answer.
#include "server/anthropic.h"

#include "server/writer_support.h"

namespace bantam::server {
namespace {

using namespace testing;

std::string messages_of(const std::string& body) {
  auto request = parse_messages_request(json(body));
  EXPECT_TRUE(request.ok()) << (request.ok() ? "" : request.status().message());
  return request.ok() ? to_json(request->messages) : "";
}

std::string error_of(const std::string& body) {
  auto request = parse_messages_request(json(body));
  EXPECT_FALSE(request.ok()) << body;
  return std::string(request.status().message());
}

TEST(AnthropicRequest, SystemBlocksAndTheBillingHeader) {
  const std::string turn = R"("messages":[{"role":"user","content":"hi"}]})";
  EXPECT_EQ(messages_of(R"({"system":"Be brief.",)" + turn),
            R"([{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}])");
  EXPECT_EQ(messages_of(R"({"system":[{"type":"text","text":"x-anthropic-billing-header: cch=1"},
                                      {"type":"text","text":"A"},{"type":"text","text":"B"}],)" +
                        turn),
            R"([{"role":"system","content":"A\nB"},{"role":"user","content":"hi"}])");
  EXPECT_EQ(messages_of(R"({"system":[{"type":"text","text":"x-anthropic-billing-header: cch=1"}],)" + turn),
            R"([{"role":"user","content":"hi"}])");
}

TEST(AnthropicRequest, ToolsThereAndBack) {
  EXPECT_EQ(messages_of(R"({"messages":[{"role":"user","content":"go"},
    {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":""},{"type":"text","text":"I call."},
       {"type":"tool_use","id":"t1","name":"f","input":{"a":1}}]},
    {"role":"user","content":[{"type":"text","text":"and?"},
       {"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"no"}],"is_error":true},
       {"type":"tool_result","tool_use_id":"t2"}]}]})"),
            R"([{"role":"user","content":"go"},)"
            R"({"role":"assistant","content":"I call.","reasoning_content":"hm",)"
            R"("tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":{"a":1}}}]},)"
            R"({"role":"tool","content":"Error: no","tool_call_id":"t1"},)"
            R"({"role":"tool","content":"","tool_call_id":"t2"},)"
            R"({"role":"user","content":"and?"}])");
  auto request = parse_messages_request(json(
      R"({"messages":[{"role":"user","content":"go"}],"tools":[{"name":"f","description":"d","input_schema":{"type":"object"}},
          {"type":"web_search_20250305","name":"web_search"}],"nonsense":1})"));
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(to_json(request->tools),
            R"([{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}])");
  EXPECT_EQ(request->unknown_fields, (std::vector<std::string>{"nonsense", "tools[1](web_search_20250305)"}));
}

TEST(AnthropicRequest, ThinkingLimitsAndStops) {
  const std::string turn = R"("messages":[{"role":"user","content":"hi"}]})";
  auto plain = parse_messages_request(json("{" + turn));
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->thinking, false);
  auto full = parse_messages_request(json(
      R"({"thinking":{"type":"enabled","budget_tokens":77},"max_tokens":9,"top_k":3,"stop_sequences":["a","b"],"stream":true,)" +
      turn));
  ASSERT_TRUE(full.ok());
  EXPECT_EQ(full->thinking, true);
  EXPECT_EQ(full->thinking_budget, 77);
  EXPECT_EQ(full->max_tok, 9);
  EXPECT_EQ(full->sampling.top_k, 3);
  EXPECT_EQ(full->stops, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(full->stream);
}

TEST(AnthropicRequest, ALastTurnOfTheAssistantBeginsTheAnswer) {
  auto request = parse_messages_request(
      json(R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"The answer is"}]})"));
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(to_json(request->messages), R"([{"role":"user","content":"hi"}])");
  EXPECT_EQ(request->prefix_text, "The answer is");
}

TEST(AnthropicRequest, Refusals) {
  const auto with = [](const std::string& content) {
    return error_of(R"({"messages":[{"role":"user","content":)" + content + "}]}");
  };
  EXPECT_EQ(with(R"([{"type":"image","source":{}}])"),
            "messages[0].content[0]: images are not supported: this model reads text only");
  EXPECT_TRUE(with("3").starts_with("messages[0].content: expected"));
  EXPECT_TRUE(with(R"([{"type":"text"}])").starts_with("messages[0].content[0].text: expected"));
  EXPECT_TRUE(error_of(R"({"messages":[]})").starts_with("messages: expected"));
  EXPECT_TRUE(error_of(R"({"messages":[{"role":"robot","content":""}]})").starts_with("messages[0].role: expected"));
  const std::string turn = R"("messages":[{"role":"user","content":"hi"}]})";
  EXPECT_TRUE(error_of(R"({"tool_choice":{"type":"any"},)" + turn).starts_with("tool_choice.type: expected"));
  EXPECT_TRUE(error_of(R"({"tools":[{"name":"f"}],)" + turn).starts_with("tools[0].input_schema: expected"));
  EXPECT_TRUE(error_of(R"({"n":2,)" + turn).starts_with("n: expected 1"));
  EXPECT_TRUE(error_of(R"({"temperature":"hot",)" + turn).starts_with("temperature: expected a number"));
}

TEST(AnthropicStream, ExactEvents) {
  MessageWriter writer("msg-1", "m", {}, house_tokenizer());
  const std::string bytes = write_all(writer, generation(engine::FinishReason::kToolCalls));
  const std::string kUsage =
      R"("usage":{"input_tokens":3,"cache_creation_input_tokens":0,"cache_read_input_tokens":2,"output_tokens":9})";
  const auto delta = [](int index, const std::string& type, const std::string& field, const std::string& text) {
    return fmt::format(
        "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{},\"delta\":{{"
        "\"type\":\"{}\",\"{}\":{}}}}}",
        index, type, field, text);
  };
  const auto start = [](int index, const std::string& block) {
    return fmt::format(
        "event: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":{},"
        "\"content_block\":{}}}",
        index, block);
  };
  const auto stop = [](int index) {
    return fmt::format("event: content_block_stop\ndata: {{\"type\":\"content_block_stop\",\"index\":{}}}", index);
  };
  const std::vector<std::string> expected = {
      "event: message_start\ndata: "
      R"({"type":"message_start","message":{"id":"msg-1","type":"message","role":"assistant","model":"m","content":[],)"
      R"("stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":5,"cache_creation_input_tokens":0,)"
      R"("cache_read_input_tokens":0,"output_tokens":0}}})",
      "event: ping\ndata: {\"type\":\"ping\"}",
      start(0, R"({"type":"thinking","thinking":"","signature":""})"),
      delta(0, "thinking_delta", "thinking", "\"Let me\""),
      delta(0, "thinking_delta", "thinking", "\" see\""),
      delta(0, "signature_delta", "signature", "\"\""),
      stop(0),
      start(1, R"({"type":"text","text":""})"),
      delta(1, "text_delta", "text", R"("I \"look\"")"),
      stop(1),
      start(2, R"({"type":"tool_use","id":"toolu_msg-1_0","name":"find","input":{}})"),
      delta(2, "input_json_delta", "partial_json", R"("{\"what\": ")"),
      delta(2, "input_json_delta", "partial_json", R"("\"x\"}")"),
      stop(2),
      "event: message_delta\ndata: "
      R"({"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},)" +
          kUsage + "}",
      "event: message_stop\ndata: {\"type\":\"message_stop\"}",
  };
  EXPECT_EQ(events_of(bytes), expected);
  EXPECT_EQ(to_json(writer.whole()),
            R"({"id":"msg-1","type":"message","role":"assistant","model":"m","content":[)"
            R"({"type":"thinking","thinking":"Let me see","signature":""},{"type":"text","text":"I \"look\""},)"
            R"({"type":"tool_use","id":"toolu_msg-1_0","name":"find","input":{"what":"x"}}],)"
            R"("stop_reason":"tool_use","stop_sequence":null,)" +
                kUsage + "}");
}

TEST(AnthropicStream, StopReasons) {
  const auto reason = [](engine::Generation answer) {
    MessageWriter writer("m", "m", {"seven", "two"}, house_tokenizer());
    std::string out;
    writer.begin({}, &out);
    writer.end(answer, &out);
    const JsonValue whole = writer.whole();
    const JsonValue* stop = whole.find("stop_sequence");
    return whole.find("stop_reason")->as_string() + " " + (stop->is_string() ? stop->as_string() : "");
  };
  engine::Generation answer = generation(engine::FinishReason::kStop);
  answer.tokens.clear();
  EXPECT_EQ(reason(answer), "end_turn ");
  answer.text = "one ";
  for (const int32_t id : house_tokenizer().encode("one two", false)) answer.tokens.push_back({.id = id, .top = {}});
  EXPECT_EQ(reason(answer), "stop_sequence two");
  answer.finish_reason = engine::FinishReason::kLength;
  EXPECT_EQ(reason(answer), "max_tokens ");
}

TEST(AnthropicStream, AnErrorIsAnEvent) {
  MessageWriter writer("m", "m", {}, house_tokenizer());
  std::string out;
  writer.failed(make_error(ErrorCode::kCancelled, "stopping"), &out);
  EXPECT_EQ(out,
            "event: error\ndata: "
            "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"stopping\"}}\n\n");
}

TEST(AnthropicErrors, OwnWordsKeepTheStatus) {
  const HttpReply refused = reworded(error_reply(401, "a key is needed", "invalid_api_key"), anthropic_error);
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.body, R"({"type":"error","error":{"type":"authentication_error","message":"a key is needed"}})");
}

}  // namespace
}  // namespace bantam::server
