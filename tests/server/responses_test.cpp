// OpenAI's Responses: items into a conversation, and the exact events of an answer.
#include "server/openai_responses.h"
#include "server/writer_support.h"

namespace bantam::server {
namespace {

using namespace testing;

std::string messages_of(const std::string& body) {
  auto request = parse_responses_request(json(body));
  EXPECT_TRUE(request.ok()) << (request.ok() ? "" : request.status().message());
  return request.ok() ? to_json(request->messages) : "";
}

std::string error_of(const std::string& body) {
  auto request = parse_responses_request(json(body));
  EXPECT_FALSE(request.ok()) << body;
  return std::string(request.status().message());
}

TEST(ResponsesRequest, SystemTurnsAreOneAndLead) {
  EXPECT_EQ(messages_of(R"({"input":"hi"})"), R"([{"role":"user","content":"hi"}])");
  EXPECT_EQ(messages_of(R"({"instructions":"A","input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]},
                           {"role":"developer","content":"B"},{"type":"message","role":"system","content":"C"}]})"),
            R"([{"role":"system","content":"A\n\nB\n\nC"},{"role":"user","content":"hi"}])");
}

TEST(ResponsesRequest, ThinkingTextAndCallsAreOneTurn) {
  EXPECT_EQ(
      messages_of(R"({"input":[{"role":"user","content":"go"},
    {"type":"reasoning","id":"r","summary":[],"content":[{"type":"reasoning_text","text":"hm"}]},
    {"type":"message","role":"assistant","content":[{"type":"output_text","text":"I call."}]},
    {"type":"function_call","call_id":"c1","name":"f","arguments":"{\"a\": 1}"},
    {"type":"function_call","call_id":"c2","name":"g","arguments":"{}"},
    {"type":"function_call_output","call_id":"c1","output":"one"},
    {"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"two"}]}]})"),
      R"([{"role":"user","content":"go"},{"role":"assistant","content":"I call.","reasoning_content":"hm",)"
      R"("tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}},)"
      R"({"id":"c2","type":"function","function":{"name":"g","arguments":"{}"}}]},)"
      R"({"role":"tool","content":"one","tool_call_id":"c1"},{"role":"tool","content":"two","tool_call_id":"c2"}])");
}

TEST(ResponsesRequest, FieldsOfTheRest) {
  auto request = parse_responses_request(json(R"({"input":"hi","reasoning":{"effort":"low"},"max_output_tokens":7,
     "text":{"format":{"type":"text"}},"tools":[{"type":"web_search"},{"type":"function","name":"f","parameters":{"type":"object"},"strict":true}],
     "odd":true,"store":true,"include":[]})"));
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->thinking, true);
  EXPECT_EQ(request->thinking_budget, 256);
  EXPECT_EQ(request->max_tok, 7);
  EXPECT_EQ(to_json(request->tools), R"([{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}])");
  EXPECT_EQ(request->unknown_fields, (std::vector<std::string>{"odd", "tools[0](web_search)"}));
  auto off = parse_responses_request(json(R"({"input":"hi","reasoning":{"effort":"none"}})"));
  ASSERT_TRUE(off.ok());
  EXPECT_EQ(off->thinking, false);
}

TEST(ResponsesRequest, Refusals) {
  EXPECT_TRUE(error_of("{}").starts_with("input: expected"));
  EXPECT_TRUE(error_of(R"({"input":[]})").starts_with("input: expected at least one"));
  EXPECT_EQ(error_of(R"({"input":"hi","previous_response_id":"resp_1"})"),
            "previous_response_id: responses are not kept here; send the whole conversation as input");
  EXPECT_TRUE(error_of(R"({"input":"hi","background":true})").starts_with("background: "));
  EXPECT_TRUE(error_of(R"({"input":"hi","text":{"format":{"type":"json_schema"}}})").starts_with("text.format.type: "));
  EXPECT_TRUE(error_of(R"({"input":"hi","tool_choice":"required"})").starts_with("tool_choice: expected"));
  EXPECT_TRUE(error_of(R"({"input":"hi","reasoning":{"effort":"extreme"}})").starts_with("reasoning.effort: expected"));
  EXPECT_TRUE(error_of(R"({"input":[{"type":"item_reference","id":"x"}]})").starts_with("input[0].type: "));
  EXPECT_TRUE(error_of(R"({"input":[{"role":"user","content":[{"type":"input_image"}]}]})")
                  .starts_with("input[0].content[0].type: "));
}

// "TYPE" of every event, with what identifies its place.
std::vector<std::string> outline(const std::string& bytes) {
  std::vector<std::string> out;
  int64_t number = 0;
  for (const std::string& event : events_of(bytes)) {
    const size_t data = event.find("\ndata: ");
    const JsonValue body = json(event.substr(data + 7));
    EXPECT_EQ(event.substr(7, data - 7), body.find("type")->as_string());
    EXPECT_EQ(*body.find("sequence_number")->as_int64(), number++);
    std::string line = body.find("type")->as_string().substr(9);
    for (const char* field : {"output_index", "content_index", "summary_index", "delta", "text", "arguments"}) {
      if (const JsonValue* value = body.find(field)) line += " " + to_json(*value);
    }
    out.push_back(std::move(line));
  }
  return out;
}

TEST(ResponsesStream, ExactEvents) {
  ResponseWriter writer("resp-1", 5, "m", json(R"({"instructions":"A","metadata":{"k":"v"}})"));
  const std::string bytes = write_all(writer, generation(engine::FinishReason::kToolCalls));
  const std::vector<std::string> expected = {
      "created",
      "in_progress",
      "output_item.added 0",
      "content_part.added 0 0",
      R"(reasoning_text.delta 0 0 "Let me")",
      R"(reasoning_text.delta 0 0 " see")",
      R"(reasoning_text.done 0 0 "Let me see")",
      "content_part.done 0 0",
      "output_item.done 0",
      "output_item.added 1",
      "content_part.added 1 0",
      R"(output_text.delta 1 0 "I \"look\"")",
      R"(output_text.done 1 0 "I \"look\"")",
      "content_part.done 1 0",
      "output_item.done 1",
      "output_item.added 2",
      R"(function_call_arguments.delta 2 "{\"what\": ")",
      R"(function_call_arguments.delta 2 "\"x\"}")",
      R"(function_call_arguments.done 2 "{\"what\": \"x\"}")",
      "output_item.done 2",
      "completed",
  };
  EXPECT_EQ(outline(bytes), expected);
  const JsonValue whole = writer.whole();
  EXPECT_EQ(
      to_json(*whole.find("output")),
      R"([{"id":"rs_resp-1_0","type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"Let me see"}],"status":"completed"},)"
      R"({"id":"msg_resp-1_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"I \"look\"","annotations":[],"logprobs":[]}]},)"
      R"({"id":"fc_resp-1_2","type":"function_call","status":"completed","call_id":"call_fc_resp-1_2","name":"find","arguments":"{\"what\": \"x\"}"}])");
  EXPECT_EQ(to_json(*whole.find("usage")),
            R"({"input_tokens":5,"input_tokens_details":{"cached_tokens":2},"output_tokens":9,)"
            R"("output_tokens_details":{"reasoning_tokens":3},"total_tokens":14})");
  EXPECT_EQ(whole.find("instructions")->as_string(), "A");
  EXPECT_EQ(to_json(*whole.find("metadata")), R"({"k":"v"})");
  EXPECT_EQ(whole.find("status")->as_string(), "completed");
}

TEST(ResponsesStream, SummariesWhereAskedFor) {
  ResponseWriter writer("r", 5, "m", json(R"({"reasoning":{"summary":"auto"}})"));
  const auto lines = outline(write_all(writer, generation(engine::FinishReason::kToolCalls)));
  EXPECT_EQ(
      std::vector<std::string>(lines.begin() + 3, lines.begin() + 8),
      (std::vector<std::string>{"reasoning_summary_part.added 0 0", R"(reasoning_summary_text.delta 0 0 "Let me")",
                                R"(reasoning_summary_text.delta 0 0 " see")",
                                R"(reasoning_summary_text.done 0 0 "Let me see")", "reasoning_summary_part.done 0 0"}));
  EXPECT_EQ(to_json(*writer.whole().find("output")->items()[0].find("summary")),
            R"([{"type":"summary_text","text":"Let me see"}])");
}

TEST(ResponsesStream, CutAndFailed) {
  ResponseWriter cut("r", 5, "m", json("{}"));
  EXPECT_EQ(outline(write_all(cut, generation(engine::FinishReason::kLength))).back(), "incomplete");
  EXPECT_EQ(to_json(*cut.whole().find("incomplete_details")), R"({"reason":"max_output_tokens"})");
  ResponseWriter broken("r", 5, "m", json("{}"));
  std::string out;
  broken.begin({}, &out);
  broken.failed(make_error(ErrorCode::kCancelled, "stopping"), &out);
  EXPECT_EQ(outline(out).back(), "failed");
  EXPECT_NE(out.find(R"("error":{"code":"server_error","message":"stopping"})"), std::string::npos);
}

}  // namespace
}  // namespace bantam::server
