// What is remembered of answers: by which names a turn is found, whose it is, and what goes when room is short; and
// that every API asks for a turn by the names that it gave it.
#include "server/turn_memory.h"

#include "server/anthropic.h"
#include "server/openai_response.h"
#include "server/openai_responses.h"
#include "server/writer_support.h"

namespace bantam::server {
namespace {

engine::WrittenTurn turn(int32_t first, size_t tok = 4) {
  return {.ids = std::vector<int32_t>(tok, first), .content = 0};
}

int32_t found(TurnMemory& memory, const std::string& owner, const std::vector<std::string>& ids,
              std::string_view content, const std::string& model = "m") {
  const auto turn = memory.find(owner, model, ids, content);
  return turn != nullptr ? turn->ids.at(0) : -1;
}

TEST(TurnMemory, ByIdElseByText) {
  TurnMemory memory;
  memory.add("a", "m", turn(1), std::vector<std::string>{"call_1", "msg_1"}, "Paris");
  memory.add("a", "m", turn(2), std::vector<std::string>{"call_2"}, "Paris");
  EXPECT_EQ(found(memory, "a", {"call_1"}, "Paris"), 1);
  EXPECT_EQ(found(memory, "a", {"msg_1"}, "anything"), 1);
  EXPECT_EQ(found(memory, "a", {"unknown", "call_2"}, ""), 2);
  EXPECT_EQ(found(memory, "a", {}, "Paris"), 2) << "the last one that said so";
  EXPECT_EQ(found(memory, "a", {}, "Paris\n"), 2);
  EXPECT_EQ(found(memory, "a", {}, "paris"), -1);
}

TEST(TurnMemory, OfOneKeyAndOneModel) {
  TurnMemory memory;
  memory.add("a", "m", turn(1), std::vector<std::string>{"call_1"}, "Paris");
  EXPECT_EQ(found(memory, "b", {"call_1"}, "Paris"), -1);
  EXPECT_EQ(found(memory, "a", {"call_1"}, "Paris", "other"), -1);
  EXPECT_EQ(memory.bytes("b"), 0);
}

TEST(TurnMemory, TheLongestUnusedGoesFirst) {
  TurnMemory memory(6000);
  for (int32_t i = 0; i < 20; ++i) {
    memory.add("a", "m", turn(i, 100), {}, std::to_string(i));
    memory.add("b", "m", turn(i, 100), {}, std::to_string(i));
    EXPECT_EQ(found(memory, "a", {}, "0"), 0) << "used again and again";
    EXPECT_LE(memory.bytes("a"), 6000);
  }
  EXPECT_EQ(found(memory, "a", {}, "19"), 19);
  EXPECT_EQ(found(memory, "a", {}, "1"), -1);
  EXPECT_EQ(found(memory, "b", {}, "0"), -1);
  memory.add("a", "m", turn(7, 5000), {}, "too long");
  EXPECT_EQ(found(memory, "a", {}, "too long"), -1);
  EXPECT_EQ(found(memory, "a", {}, "19"), 19) << "nothing went for what cannot be kept";
}

TEST(TurnMemory, WhatNobodyCanNameTakesNoRoom) {
  TurnMemory memory;
  memory.add("a", "m", turn(1), {}, "Paris");
  const int64_t one = memory.bytes("a");
  for (int32_t i = 0; i < 50; ++i) memory.add("a", "m", turn(i), {}, "Paris");
  EXPECT_EQ(memory.bytes("a"), one);
  EXPECT_EQ(found(memory, "a", {}, "Paris"), 49);
  memory.add("a", "m", turn(3), std::vector<std::string>{"x", "x"}, "");
  EXPECT_EQ(memory.bytes("a"), one) << "a turn without words";
}

// The ids by which a request asks for its assistant's turn.
std::vector<std::string> asked(const Result<ChatRequest>& request) {
  EXPECT_TRUE(request.ok()) << (request.ok() ? "" : request.status().message());
  const ModelInfo info;
  std::vector<std::string> out;
  std::string text;
  ServedModel model{"m", &info, &testing::house_tokenizer(), text::TemplateKind::qwen3_hybrid, {}};
  model.find_turn = [&](std::span<const std::string> ids, std::string_view content) {
    out.assign(ids.begin(), ids.end());
    text = content;
    return nullptr;
  };
  EXPECT_TRUE(prepare(*request, model).ok());
  EXPECT_EQ(text, "I \"look\"\n<tool_call>\n{\"name\": \"find\", \"arguments\": {\"what\": \"x\"}}\n</tool_call>");
  return out;
}

bool are_among(const std::vector<std::string>& some, const std::vector<std::string>& all) {
  return !some.empty() && std::all_of(some.begin(), some.end(), [&](const std::string& id) {
    return std::find(all.begin(), all.end(), id) != all.end();
  });
}

TEST(TurnNames, OfMessages) {
  MessageWriter writer("msg_1", "m", {}, testing::house_tokenizer());
  testing::write_all(writer, testing::generation(engine::FinishReason::kToolCalls));
  EXPECT_EQ(writer.ids(), std::vector<std::string>{"toolu_msg_1_0"});
  const std::string body = R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":)" +
                           to_json(*writer.whole().find("content")) +
                           R"(},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_msg_1_0"}]}]})";
  EXPECT_EQ(asked(parse_messages_request(testing::json(body))), writer.ids());
}

TEST(TurnNames, OfResponses) {
  ResponseWriter writer("resp_1", 0, "m", testing::json("{}"));
  testing::write_all(writer, testing::generation(engine::FinishReason::kToolCalls));
  EXPECT_EQ(writer.ids(), (std::vector<std::string>{"rs_resp_1_0", "msg_resp_1_1", "fc_resp_1_2", "call_fc_resp_1_2"}));
  std::string items = to_json(*writer.whole().find("output"));
  items.pop_back();
  const auto ask = [&](const std::string& more) {
    return asked(parse_responses_request(testing::json(R"({"input":)" + items + more + "]}")));
  };
  const std::string result = R"(,{"type":"function_call_output","call_id":"call_fc_resp_1_2","output":"7"})";
  EXPECT_TRUE(are_among(ask(result), writer.ids()));
  // Clients that leave the items' ids out still have the call's.
  for (size_t at; (at = items.find("\"id\":")) != std::string::npos;) items.replace(at, 5, "\"no\":");
  EXPECT_EQ(ask(result), std::vector<std::string>{"call_fc_resp_1_2"});
}

TEST(TurnNames, OfChats) {
  engine::Generation answer = testing::generation(engine::FinishReason::kToolCalls);
  answer.text = "I \"look\"";
  answer.tool_calls = {{"find", "{\"what\": \"x\"}"}};
  const ResponseHead head{"chatcmpl-1", 0, "m"};
  const std::string body = R"({"messages":[{"role":"user","content":"a"},)" +
                           to_json(assistant_message(answer, call_prefix(head, 2))) +
                           R"(,{"role":"tool","content":"7"}]})";
  EXPECT_EQ(asked(parse_chat_request(testing::json(body))), std::vector<std::string>{"call_chatcmpl-1_2_0"});
}

}  // namespace
}  // namespace bantam::server
