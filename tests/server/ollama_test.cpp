// Ollama's API: what requests become, and the lines of an answer.
#include "server/ollama.h"

#include "server/writer_support.h"

namespace bantam::server {
namespace {

using namespace testing;

std::string error_of(const Result<ChatRequest>& request) {
  EXPECT_FALSE(request.ok());
  return std::string(request.status().message());
}

TEST(OllamaRequest, OptionsAndThinking) {
  auto request = parse_ollama_chat(json(R"({"model":"m","messages":[{"role":"user","content":"hi"}],"think":"low",
    "options":{"temperature":0,"top_k":2,"top_p":0.5,"min_p":0.1,"seed":9,"num_predict":4,"stop":["a"],"repeat_penalty":1.1,
               "presence_penalty":0.2,"frequency_penalty":0.3,"num_ctx":4096},"keep_alive":"5m"})"));
  ASSERT_TRUE(request.ok());
  EXPECT_TRUE(request->stream) << "Ollama streams unless told not to";
  EXPECT_EQ(request->sampling.temperature, 0);
  EXPECT_EQ(request->sampling.top_k, 2);
  EXPECT_EQ(request->sampling.top_p, 0.5);
  EXPECT_EQ(request->sampling.min_p, 0.1);
  EXPECT_EQ(request->sampling.seed, 9U);
  EXPECT_EQ(request->sampling.repetition_penalty, 1.1);
  EXPECT_EQ(request->sampling.presence_penalty, 0.2);
  EXPECT_EQ(request->sampling.frequency_penalty, 0.3);
  EXPECT_EQ(request->max_tok, 4);
  EXPECT_EQ(request->stops, std::vector<std::string>{"a"});
  EXPECT_EQ(request->thinking, true);
  EXPECT_EQ(request->thinking_budget, 256);
  EXPECT_EQ(request->unknown_fields, std::vector<std::string>{"options.num_ctx"});
  auto endless =
      parse_ollama_generate(json(R"({"prompt":"x","stream":false,"think":false,"options":{"num_predict":-1}})"));
  ASSERT_TRUE(endless.ok());
  EXPECT_EQ(endless->max_tok, std::nullopt);
  EXPECT_EQ(endless->thinking, false);
  EXPECT_FALSE(endless->stream);
}

TEST(OllamaRequest, Turns) {
  auto chat = parse_ollama_chat(json(R"({"messages":[{"role":"user","content":"go"},
    {"role":"assistant","content":"","thinking":"hm","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},
    {"role":"tool","content":"one","tool_name":"f"}]})"));
  ASSERT_TRUE(chat.ok());
  EXPECT_EQ(to_json(chat->messages),
            R"([{"role":"user","content":"go"},{"role":"assistant","content":"","reasoning_content":"hm",)"
            R"("tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},{"role":"tool","content":"one"}])");
  auto plain = parse_ollama_generate(json(R"({"prompt":"x","system":"S"})"));
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(to_json(plain->messages), R"([{"role":"system","content":"S"},{"role":"user","content":"x"}])");
  EXPECT_FALSE(plain->raw_prompt.has_value());
  auto raw = parse_ollama_generate(json(R"({"prompt":"x","raw":true})"));
  ASSERT_TRUE(raw.ok());
  EXPECT_EQ(raw->raw_prompt, "x");
}

TEST(OllamaRequest, Refusals) {
  EXPECT_TRUE(error_of(parse_ollama_chat(json(R"({"messages":[{"role":"x"}]})"))).starts_with("messages[0].role: "));
  EXPECT_TRUE(error_of(parse_ollama_chat(json(R"({"messages":[{"role":"user","content":"a","images":["eA=="]}]})")))
                  .starts_with("messages[0].images: "));
  EXPECT_TRUE(error_of(parse_ollama_generate(json(R"({"prompt":"x","format":"json"})"))).starts_with("format: "));
  EXPECT_TRUE(error_of(parse_ollama_generate(json(R"({"prompt":"x","suffix":"y"})"))).starts_with("suffix: "));
  EXPECT_TRUE(error_of(parse_ollama_generate(json(R"({"prompt":"x","options":{"top_p":2}})")))
                  .starts_with("options.top_p: expected a number from 0 to 1"));
  EXPECT_TRUE(error_of(parse_ollama_generate(json(R"({"prompt":"x","think":3})"))).starts_with("think: expected"));
}

// A line without what changes from run to run.
std::string steady(const std::string& line) {
  JsonValue value = json(line);
  std::erase_if(value.members(), [](const auto& m) { return m.first == "created_at" || m.first == "total_duration"; });
  return to_json(value);
}

TEST(OllamaStream, ExactLines) {
  OllamaWriter writer(OllamaWriter::Form::kChat, "m", {});
  std::vector<std::string> lines;
  for (const std::string& line : events_of(write_all(writer, generation(engine::FinishReason::kToolCalls)))) {
    lines.push_back(steady(line));
  }
  const std::string counts =
      R"("done":true,"done_reason":"stop","load_duration":0,"prompt_eval_count":5,"prompt_eval_duration":2000000,)"
      R"("eval_count":9,"eval_duration":4000000})";
  const std::string call =
      R"("tool_calls":[{"id":"call_0","function":{"index":0,"name":"find","arguments":{"what":"x"}}}])";
  const std::vector<std::string> expected = {
      R"({"model":"m","message":{"role":"assistant","content":"","thinking":"Let me"},"done":false})",
      R"({"model":"m","message":{"role":"assistant","content":"","thinking":" see"},"done":false})",
      R"({"model":"m","message":{"role":"assistant","content":"I \"look\""},"done":false})",
      R"({"model":"m","message":{"role":"assistant","content":"",)" + call + R"(},"done":false})",
      R"({"model":"m","message":{"role":"assistant","content":""},)" + counts,
  };
  EXPECT_EQ(lines, expected);
  EXPECT_EQ(steady(to_json(writer.whole())),
            R"({"model":"m","message":{"role":"assistant","content":"I \"look\"","thinking":"Let me see",)" + call +
                "}," + counts);
}

TEST(OllamaStream, GenerateAndErrors) {
  OllamaWriter writer(OllamaWriter::Form::kGenerate, "m", {});
  std::string out;
  writer.delta({Kind::kContent, "a"}, &out);
  EXPECT_EQ(steady(out.substr(0, out.size() - 1)), R"({"model":"m","response":"a","done":false})");
  out.clear();
  writer.failed(make_error(ErrorCode::kCancelled, "stopping"), &out);
  EXPECT_EQ(out, "{\"error\":\"stopping\"}\n");
  writer.end(generation(engine::FinishReason::kLength), &out);
  EXPECT_EQ(writer.whole().find("done_reason")->as_string(), "length");
  EXPECT_EQ(rfc3339(std::chrono::system_clock::time_point(std::chrono::microseconds(1'500'000))),
            "1970-01-01T00:00:01.500000Z");
}

}  // namespace
}  // namespace bantam::server
