// OpenAI's chat and completions: what each field of a request becomes, and the words of every refusal.
#include "server/openai_request.h"

#include "server/openai_response.h"
#include "server/writer_support.h"

namespace bantam::server {
namespace {

using namespace testing;

const std::string kTurn = R"("messages":[{"role":"user","content":"hi"}])";

Result<ChatRequest> chat(const std::string& fields) {
  return parse_chat_request(json("{" + fields + (fields.empty() ? "" : ",") + kTurn + "}"));
}

ChatRequest good(const std::string& fields) {
  auto request = chat(fields);
  EXPECT_TRUE(request.ok()) << fields << ": " << (request.ok() ? "" : request.status().message());
  return request.ok() ? *request : ChatRequest();
}

TEST(OpenAiChat, EveryFieldArrives) {
  const ChatRequest r = good(R"("model":"m","temperature":0.5,"top_p":0.9,"min_p":0.1,"top_k":7,"presence_penalty":1,
    "frequency_penalty":-1,"repetition_penalty":1.1,"seed":-3,"max_completion_tokens":9,"n":2,"stream":true,
    "stream_options":{"include_usage":true},"return_progress":true,"stop":["a","b",""],"logprobs":true,"top_logprobs":4,
    "logit_bias":{"12":-100},"user":"u","metadata":{},"odd":1)");
  EXPECT_EQ(r.model, "m");
  EXPECT_EQ(r.sampling.temperature, 0.5);
  EXPECT_EQ(r.sampling.top_p, 0.9);
  EXPECT_EQ(r.sampling.min_p, 0.1);
  EXPECT_EQ(r.sampling.top_k, 7);
  EXPECT_EQ(r.sampling.presence_penalty, 1);
  EXPECT_EQ(r.sampling.frequency_penalty, -1);
  EXPECT_EQ(r.sampling.repetition_penalty, 1.1);
  EXPECT_EQ(r.sampling.seed, static_cast<uint64_t>(-3));
  EXPECT_EQ(r.max_tok, 9);
  EXPECT_EQ(r.n, 2);
  EXPECT_TRUE(r.stream && r.include_usage && r.return_progress);
  EXPECT_EQ(r.stops, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(r.top_logprobs, 4);
  EXPECT_EQ(r.logit_bias, (std::vector<std::pair<int32_t, float>>{{12, -100.0F}}));
  EXPECT_EQ(r.unknown_fields, std::vector<std::string>{"odd"});
  EXPECT_EQ(good(R"("max_tokens":3)").max_tok, 3);
  EXPECT_EQ(good(R"("stop":"x")").stops, std::vector<std::string>{"x"});
  EXPECT_EQ(good(R"("temperature":null)").sampling.temperature, std::nullopt);
}

TEST(OpenAiChat, WaysToAskForThinking) {
  using Wish = std::pair<std::optional<bool>, std::optional<int64_t>>;
  const std::pair<const char*, Wish> cases[] = {
      {"", {{}, {}}},
      {R"("enable_thinking":false)", {false, {}}},
      {R"("think":true)", {true, {}}},
      {R"("chat_template_kwargs":{"enable_thinking":false})", {false, {}}},
      {R"("thinking":{"type":"enabled","budget_tokens":5})", {true, 5}},
      {R"("thinking":{"type":"disabled"})", {false, {}}},
      {R"("thinking":{"type":"adaptive"})", {true, {}}},
      {R"("reasoning_effort":"none")", {false, {}}},
      {R"("reasoning_effort":"minimal")", {false, {}}},
      {R"("reasoning_effort":"low")", {true, 256}},
      {R"("reasoning_effort":"medium")", {true, 1024}},
      {R"("reasoning_effort":"high")", {true, 4096}},
      {R"("reasoning_effort":"xhigh")", {true, {}}},
      {R"("enable_thinking":true,"thinking_budget":8,"reasoning_effort":"none")", {true, 8}},
  };
  for (const auto& [fields, wish] : cases) {
    const ChatRequest r = good(fields);
    EXPECT_EQ(Wish(r.thinking, r.thinking_budget), wish) << fields;
  }
}

TEST(OpenAiChat, MessagesBecomePlain) {
  auto request = parse_chat_request(json(R"({"messages":[{"role":"developer","content":"A"},
    {"role":"user","content":[{"type":"text","text":"b"},{"type":"text","text":"c"}]},
    {"role":"assistant","content":null,"tool_calls":[]}]})"));
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(to_json(request->messages), R"([{"role":"system","content":"A"},{"role":"user","content":"bc"},)"
                                        R"({"role":"assistant","content":null,"tool_calls":[]}])");
  EXPECT_EQ(to_json(good(R"("tools":[{"type":"function"}])").tools), R"([{"type":"function"}])");
  EXPECT_TRUE(good(R"("tools":[{"type":"function"}],"tool_choice":"none")").tools.is_null());
}

TEST(OpenAiChat, RefusalsBeginWithTheField) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("temperature":"hot")", "temperature: expected a number, got string"},
      {R"("temperature":-1)", "temperature: expected a number from 0 to 100, got -1"},
      {R"("top_p":1.5)", "top_p: "},
      {R"("n":9)", "n: expected a whole number from 1 to 8, got 9"},
      {R"("n":1.5)", "n: expected a whole number"},
      {R"("stream":"yes")", "stream: expected true or false"},
      {R"("stop":3)", "stop: expected a string"},
      {R"("logit_bias":{"x":1})", "logit_bias: "},
      {R"("logit_bias":{"1":101})", "logit_bias: "},
      {R"("top_logprobs":2)", "top_logprobs: "},
      {R"("logprobs":true,"top_logprobs":21)", "top_logprobs: "},
      {R"("tool_choice":"required")", "tool_choice: "},
      {R"("tools":{})", "tools: expected an array"},
      {R"("response_format":{"type":"json_object"})", "response_format: "},
      {R"("reasoning_effort":"huge")", "reasoning_effort: "},
      {R"("thinking_budget":-1)", "thinking_budget: "},
  };
  for (const auto& [fields, words] : cases) {
    const auto request = chat(fields);
    ASSERT_FALSE(request.ok()) << fields;
    EXPECT_TRUE(request.status().message().starts_with(words)) << request.status().message();
  }
}

TEST(OpenAiCompletions, PromptsAndRefusals) {
  const auto parse = [](const std::string& body) { return parse_completion_request(json(body)); };
  EXPECT_EQ(parse(R"({"prompt":"a"})")->prompts.size(), 1U);
  EXPECT_EQ(parse(R"({"prompt":"a"})")->max_tok, 16);
  EXPECT_EQ(parse(R"({"prompt":[1,2]})")->prompts[0].ids, (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(parse(R"({"prompt":[[1],"b"]})")->prompts[1].text, "b");
  EXPECT_EQ(parse(R"({"prompt":"a","logprobs":0,"echo":true})")->top_logprobs, 0);
  for (const char* body :
       {"{}", R"({"prompt":""})", R"({"prompt":[]})", R"({"prompt":[-1]})", R"({"prompt":[["x"]]})"}) {
    ASSERT_FALSE(parse(body).ok()) << body;
    EXPECT_TRUE(parse(body).status().message().starts_with("prompt: ")) << parse(body).status().message();
  }
  EXPECT_TRUE(parse(R"({"prompt":"a","suffix":"b"})").status().message().starts_with("suffix: not supported"));
}

TEST(OpenAiCompletions, LogprobsGoOnWhereTheyEnded) {
  const text::Tokenizer& tokenizer = house_tokenizer();
  std::vector<Sampled> tokens;
  for (const int32_t id : tokenizer.encode("one two", false)) {
    tokens.push_back({.id = id, .logprob = -0.5, .top = {{.id = id, .logprob = -0.5}}});
  }
  int64_t whole_offset = 0, offset = 0;
  const JsonValue whole = completion_logprobs(tokens, 1, &whole_offset, tokenizer);
  EXPECT_TRUE(whole.find("token_logprobs")->items()[0].is_null()) << "nothing comes before the first token of a prompt";
  EXPECT_EQ(whole_offset, 7);
  JsonValue joined = JsonValue::array();
  for (const Sampled& token : tokens) {
    const JsonValue one = completion_logprobs(std::span(&token, 1), 0, &offset, tokenizer);
    joined.items().push_back(one.find("text_offset")->items()[0]);
  }
  EXPECT_EQ(to_json(joined), to_json(*whole.find("text_offset")));
}

}  // namespace
}  // namespace bantam::server
