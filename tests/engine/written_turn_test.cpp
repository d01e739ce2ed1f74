// Turns put back as they were written: for every template, where they fit to the byte, and nowhere else.
#include "engine/written_turn.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/json.h"
#include "engine/nano.h"
#include "engine/prompt.h"

namespace bantam::engine {
namespace {

using text::TemplateKind;

class WrittenTurnTest : public testing::Test {
 protected:
  // Every byte as a token of its own: what no tokenizer writes. Tags as the control tokens they are.
  std::vector<int32_t> spelled(std::string_view text) const {
    std::vector<int32_t> out;
    for (size_t at = 0; at < text.size();) {
      size_t length = 1;
      std::string_view piece = text.substr(at, 1);
      for (const char* tag : {"<think>", "</think>", "<tool_call>", "</tool_call>"}) {
        if (!text.substr(at).starts_with(tag)) continue;
        piece = tag;
        length = piece.size();
      }
      out.push_back(length > 1 ? *tokenizer_.find_added(piece) : tokenizer_.encode(piece, false).at(0));
      at += length;
    }
    return out;
  }
  Generation answer(std::string_view raw) const {
    Generation out;
    for (const int32_t id : spelled(raw)) out.tokens.push_back({.id = id, .logprob = 0, .top = {}});
    out.tokens.push_back({.id = *tokenizer_.find_added("<|im_end|>"), .logprob = 0, .top = {}});
    return out;
  }
  WrittenTurn turn(std::string_view raw, bool starts_in_thinking = false) const {
    return written_turn(tokenizer_, {}, starts_in_thinking, answer(raw));
  }
  // The conversation with `turn` known as its second message.
  std::vector<int32_t> with(const std::string& messages, const WrittenTurn& turn,
                            TemplateKind kind = TemplateKind::qwen3_hybrid) {
    const auto json = parse_json(messages);
    EXPECT_TRUE(json.ok()) << messages;
    const auto known = std::make_shared<const WrittenTurn>(turn);
    contents_.clear();
    const auto find = [&](size_t message, std::string_view content) {
      contents_.emplace_back(content);
      return message == 1 ? known : nullptr;
    };
    const auto plain = render_prompt(tokenizer_, kind, *json, nullptr, false);
    const auto got = render_prompt(tokenizer_, kind, *json, nullptr, false, find);
    EXPECT_TRUE(plain.ok() && got.ok()) << messages;
    EXPECT_EQ(got->text, plain->text);
    EXPECT_EQ(tokenizer_.decode(got->ids), plain->text) << "other bytes";
    plain_ = plain->ids;
    return got->ids;
  }
  static bool contains(const std::vector<int32_t>& ids, const std::vector<int32_t>& part) {
    return std::search(ids.begin(), ids.end(), part.begin(), part.end()) != ids.end();
  }

  text::Tokenizer tokenizer_ = nano_tokenizer();
  std::vector<int32_t> plain_;
  std::vector<std::string> contents_;  // that were asked for
};

const std::string kAsk = R"({"role":"user","content":"hi"})", kNext = R"(,{"role":"user","content":"and?"}])";

std::string said(const std::string& fields) {
  return "[" + kAsk + R"(,{"role":"assistant",)" + fields + "}" + kNext;
}

TEST_F(WrittenTurnTest, WordsInEveryTemplate) {
  for (const TemplateKind kind : text::kAllTemplates) {
    const std::vector<int32_t> ids = with(said(R"("content":"Hello there")"), turn("Hello there"), kind);
    EXPECT_TRUE(contains(ids, spelled("Hello there"))) << text::template_name(kind);
    EXPECT_FALSE(contains(plain_, spelled("Hello there")));
    EXPECT_EQ(contents_, std::vector<std::string>{"Hello there"});
  }
}

TEST_F(WrittenTurnTest, ThinkingIsLeftOut) {
  for (const bool open : {false, true}) {
    const WrittenTurn thought =
        turn(std::string(open ? "" : "<think>\n") + "Let me see\n</think>\n\nHello there", open);
    EXPECT_EQ(content_bytes(tokenizer_, thought), "Hello there");
    EXPECT_TRUE(contains(with(said(R"("content":"Hello there")"), thought), spelled("\nHello there")));
    EXPECT_TRUE(contains(with(said(R"("content":"Hello there","reasoning_content":"Let me see")"), thought),
                         spelled("\nHello there")));
  }
}

// Within a chain of calls the template prints the thinking, and the whole turn is as it was written.
TEST_F(WrittenTurnTest, ThinkingAndACall) {
  const std::string raw =
      "\nLet me see\n</think>\n\nOne moment.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\":  1}}\n</tool_call>";
  const std::string message =
      R"("content":"One moment.","reasoning_content":"Let me see","tool_calls":[{"id":"x","function":{"name":"f","arguments":"{\"a\":  1}"}}])";
  const std::string chain = "[" + kAsk + R"(,{"role":"assistant",)" + message + R"(},{"role":"tool","content":"7"}])";
  const WrittenTurn whole = turn("<think>" + raw);
  EXPECT_TRUE(contains(with(chain, whole), whole.ids));
  const WrittenTurn opened = turn(raw.substr(1), /*starts_in_thinking=*/true);  // "<think>\n" stood in the prompt
  EXPECT_TRUE(contains(with(chain, opened, TemplateKind::qwen3_thinking_2507), opened.ids));
  const std::vector<int32_t> tail(whole.ids.begin() + static_cast<std::ptrdiff_t>(whole.content), whole.ids.end());
  EXPECT_TRUE(contains(with(said(message), whole), tail)) << "after the next question the thinking is gone";
  EXPECT_FALSE(contains(with(said(message), whole), whole.ids));
  EXPECT_TRUE(contains(with(said(message), whole, TemplateKind::qwen3_instruct_2507), tail));
}

TEST_F(WrittenTurnTest, WhatWasCutAfterATokenFits) {
  const WrittenTurn longer = turn("Hello there, you\n");
  EXPECT_TRUE(contains(with(said(R"("content":"Hello there")"), longer), spelled("Hello there")));
  Generation unfinished = answer("Hello");
  unfinished.tokens.pop_back();
  unfinished.finish_reason = FinishReason::kLength;
  const std::vector<int32_t> begun = spelled("Oh. ");
  const WrittenTurn continued = written_turn(tokenizer_, begun, false, unfinished);
  EXPECT_TRUE(contains(with(said(R"("content":"Oh. Hello")"), continued), spelled("Oh. Hello")));
}

TEST_F(WrittenTurnTest, AnotherTextIsTokenisedAsEver) {
  const WrittenTurn known = turn("Hello there");
  for (const char* content : {"Hello theres", "hello there", "Hello thera", " Hello there", "Hello\nthere", ""}) {
    const JsonValue text = JsonValue::string(content);
    EXPECT_EQ(with(said("\"content\":" + to_json(text)), known), plain_) << content;
  }
  // A token that is more than the text.
  WrittenTurn wide;
  wide.ids = tokenizer_.encode("Hello there", false);
  ASSERT_LT(wide.ids.size(), 11u);
  const std::string_view last = tokenizer_.token_bytes(wide.ids.back());
  ASSERT_GT(last.size(), 1u);
  const std::vector<int32_t> ids = with(said(R"("content":"Hello ther")"), wide);
  EXPECT_EQ(ids, plain_);
}

// Words that spell a tag are words; only the template makes control tokens, whatever a turn's ids say.
TEST_F(WrittenTurnTest, NoControlTokenOutOfWords) {
  const WrittenTurn broken = turn("see <tool_call>oops</tool_call>");
  const std::vector<int32_t> ids = with(said(R"("content":"see <tool_call>oops</tool_call>")"), broken);
  EXPECT_EQ(ids, plain_);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), *tokenizer_.find_added("<tool_call>")), 0);
}

}  // namespace
}  // namespace bantam::engine
