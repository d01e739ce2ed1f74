// AnswerParser on the house model's tokenizer: framing, thinking, tool calls, and everything models do wrong.
#include "engine/answer_parser.h"

#include <algorithm>

#include "engine/nano.h"

namespace bantam::engine {
namespace {

class AnswerParserTest : public ::testing::Test {
 protected:
  // Feeds the ids of `answer`, tags as control tokens, and returns what was streamed ("R:" and "C:" pieces merged).
  // What was streamed of calls must be what calls() says.
  std::string parse(const std::string& answer, bool starts_in_thinking = false) {
    return feed(tokenizer_.encode(answer, /*allow_added=*/true), starts_in_thinking);
  }
  std::string feed(const std::vector<int32_t>& ids, bool starts_in_thinking = false) {
    parser_ = std::make_unique<AnswerParser>(tokenizer_, starts_in_thinking, with_calls_);
    std::string reasoning, content;
    std::vector<ToolCall> streamed;
    deltas_.clear();
    for (int32_t id : ids) parser_->push(id, &deltas_);
    parser_->finish(&deltas_);
    for (const AnswerDelta& delta : deltas_) {
      if (delta.kind == AnswerDelta::Kind::kReasoning) reasoning += delta.text;
      if (delta.kind == AnswerDelta::Kind::kContent) content += delta.text;
      if (delta.kind == AnswerDelta::Kind::kToolName) streamed.push_back({delta.text, {}});
      if (delta.kind == AnswerDelta::Kind::kToolArguments) streamed.back().arguments += delta.text;
      const bool of_call = delta.call >= 0;
      EXPECT_EQ(of_call, delta.kind >= AnswerDelta::Kind::kToolName);
      if (of_call) {
        EXPECT_EQ(delta.call, static_cast<int32_t>(streamed.size()) - 1);
      }
    }
    EXPECT_EQ(streamed.size(), calls().size());
    for (size_t i = 0; i < std::min(streamed.size(), calls().size()); ++i) {
      EXPECT_EQ(streamed[i].name, calls()[i].name);
      EXPECT_EQ(streamed[i].arguments, calls()[i].arguments);
    }
    EXPECT_EQ(reasoning, parser_->reasoning()) << "the stream and the whole differ";
    EXPECT_EQ(content, parser_->content()) << "the stream and the whole differ";
    return "R:" + reasoning + "|C:" + content;
  }
  const std::vector<ToolCall>& calls() const { return parser_->tool_calls(); }

  text::Tokenizer tokenizer_ = nano_tokenizer();
  bool with_calls_ = true;
  std::unique_ptr<AnswerParser> parser_;
  std::vector<AnswerDelta> deltas_;
};

TEST_F(AnswerParserTest, PlainAndThinking) {
  EXPECT_EQ(parse("Hello there."), "R:|C:Hello there.");
  EXPECT_EQ(parse("<think>\nTwo plus two.\n</think>\n\n4"), "R:Two plus two.|C:4");
  EXPECT_EQ(parse("\n\n<think>\n\n</think>\n\nhi"), "R:|C:hi");
  EXPECT_EQ(parse("Still going\n</think>\n\nyes", true), "R:Still going|C:yes");
  EXPECT_EQ(parse("line\n\nline\n"), "R:|C:line\n\nline") << "newlines inside stay, framing goes";
  EXPECT_EQ(parse(""), "R:|C:");
  EXPECT_EQ(parse("héllo 世界 🙂"), "R:|C:héllo 世界 🙂");
}

TEST_F(AnswerParserTest, ThinkingTokensAreCounted) {
  parse("<think>\nTwo plus two.\n</think>\n\n4");
  const auto inside = tokenizer_.encode("\nTwo plus two.\n", false).size();
  EXPECT_EQ(parser_->reasoning_tok(), static_cast<int64_t>(inside) + 2) << "both tags count";
  parse("no thoughts");
  EXPECT_EQ(parser_->reasoning_tok(), 0);
}

TEST_F(AnswerParserTest, RedundantAndUnfinishedTags) {
  EXPECT_EQ(parse("<think>a<think>b</think>c"), "R:ab|C:c");
  EXPECT_EQ(parse("<think>a</think>b</think>c"), "R:a|C:bc");
  EXPECT_EQ(parse("</think>c"), "R:|C:c");
  EXPECT_EQ(parse("<think>\nnever ends\n"), "R:never ends|C:");
  EXPECT_TRUE(parser_->thinking());
  EXPECT_EQ(parse("<think>\nagain</think>x", true), "R:again|C:x") << "opened in the prompt and by the model";
}

TEST_F(AnswerParserTest, ToolCalls) {
  EXPECT_EQ(parse("<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>"), "R:|C:");
  ASSERT_EQ(calls().size(), 1u);
  EXPECT_EQ(calls()[0].name, "weather");
  EXPECT_EQ(calls()[0].arguments, "{\"city\": \"Oslo\"}");

  parse(
      "<tool_call>\n{\"arguments\": {\"a\": [1.50, 1e5, \"}\\\"{\"], \"arguments\": 2} , \"name\": "
      "\"f\"}\n</tool_call>\n"
      "<tool_call>\n{\"name\": \"g\"}\n</tool_call>");
  ASSERT_EQ(calls().size(), 2u);
  EXPECT_EQ(calls()[0].arguments, "{\"a\": [1.50, 1e5, \"}\\\"{\"], \"arguments\": 2}") << "exactly as written";
  EXPECT_EQ(calls()[1].name, "g");
  EXPECT_EQ(calls()[1].arguments, "{}");

  EXPECT_EQ(parse("<think>\nuse f\n</think>\n\nLooking.\n<tool_call>\n{\"name\": \"f\", \"arguments\": "
                  "{}}\n</tool_call>\nDone."),
            "R:use f|C:Looking.\nDone.");
  EXPECT_EQ(calls().size(), 1u);
  parse("<tool_call>{\"name\": \"f\", \"arguments\": \"text\\n\"}</tool_call>");
  EXPECT_EQ(calls()[0].arguments, "\"text\\n\"");
}

TEST_F(AnswerParserTest, MalformedCallsStayVisible) {
  EXPECT_EQ(parse("<tool_call>\nnot json\n</tool_call>"), "R:|C:<tool_call>\nnot json\n</tool_call>");
  EXPECT_TRUE(calls().empty());
  for (const char* body : {"[1]", "{}", "{\"name\": 3}", "{\"name\": \"f\"", "\"f\"", "{\"name\": \"\"}"}) {
    EXPECT_EQ(parse(std::string("<tool_call>") + body + "</tool_call>"),
              std::string("R:|C:<tool_call>") + body + "</tool_call>");
    EXPECT_TRUE(calls().empty()) << body;
  }
  EXPECT_EQ(parse("Wait.<tool_call>{\"name\": \"f\", \"argu"), "R:|C:Wait.\n<tool_call>{\"name\": \"f\", \"argu")
      << "an unfinished call is shown";
}

TEST_F(AnswerParserTest, ACallWithinTheThinkingEndsIt) {
  EXPECT_EQ(parse("<think>\na <tool_call>{\"name\": \"f\"}</tool_call></think>\n\nb"), "R:a |C:b");
  ASSERT_EQ(calls().size(), 1u);
  EXPECT_FALSE(parser_->thinking());
  EXPECT_EQ(parse("so\n<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>", true), "R:so|C:");
  EXPECT_EQ(calls().size(), 1u);
}

TEST_F(AnswerParserTest, WithoutToolsACallIsText) {
  const std::string call = "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>";
  with_calls_ = false;
  EXPECT_EQ(parse("Well. " + call + "\nDone."), "R:|C:Well. " + call + "\nDone.");
  EXPECT_EQ(parse("<think>\nI " + call + " now\n</think>\n\nyes"), "R:I " + call + " now|C:yes");
  EXPECT_TRUE(calls().empty());
}

TEST_F(AnswerParserTest, ACallIsDeliveredAsItIsWritten) {
  const std::string call = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [1, \"x}\"]}}\n</tool_call>";
  const std::vector<int32_t> ids = tokenizer_.encode("A<think>" + call + call, /*allow_added=*/true);
  std::string progress;
  AnswerParser parser(tokenizer_, false);
  size_t name_at = 0, first_bytes_at = 0, first_end = 0;
  std::vector<AnswerDelta> deltas;
  for (size_t i = 0; i < ids.size(); ++i) {
    deltas.clear();
    parser.push(ids[i], &deltas);
    for (const AnswerDelta& delta : deltas) {
      if (delta.call != 0) continue;
      if (delta.kind == AnswerDelta::Kind::kToolName) name_at = i;
      if (delta.kind == AnswerDelta::Kind::kToolArguments && first_bytes_at == 0) first_bytes_at = i;
      if (delta.kind == AnswerDelta::Kind::kToolArguments) progress += delta.text;
    }
    if (ids[i] == *tokenizer_.find_added("</tool_call>") && first_end == 0) first_end = i;
  }
  EXPECT_EQ(progress, "{\"a\": [1, \"x}\"]}");
  EXPECT_GT(name_at, 0u);
  EXPECT_LE(name_at, first_bytes_at);
  EXPECT_LT(first_bytes_at + 2, first_end) << "not held back to the end";
  ASSERT_EQ(parser.tool_calls().size(), 2u);
}

TEST_F(AnswerParserTest, ACallThatBreaksAfterItsName) {
  EXPECT_EQ(parse("<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": </tool_call>x"), "R:|C:x");
  ASSERT_EQ(calls().size(), 1u);
  EXPECT_EQ(calls()[0].arguments, "{\"a\": ");
  EXPECT_EQ(parse("<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1"), "R:|C:") << "cut by the length";
  ASSERT_EQ(calls().size(), 1u);
  EXPECT_EQ(calls()[0].arguments, "{\"a\": 1");
  EXPECT_EQ(parse("<tool_call>{\"name\": \"f\", \"arguments\": {}} and so on</tool_call>"), "R:|C:} and so on")
      << "no words are lost";
  EXPECT_EQ(calls().size(), 1u);
  EXPECT_EQ(parse("<tool_call>{\"name\": \"f\", \"arguments\": {}}}\n</tool_call>"), "R:|C:") << "one } too many";
  EXPECT_EQ(parse("<tool_call>{\"name\": \"f\", \"arguments\": {}, \"id\": 7}</tool_call>"), "R:|C:") << "valid JSON";
  EXPECT_EQ(calls().size(), 1u);
  EXPECT_EQ(parse("<tool_call>{\"name\": \"f\", \"arguments\": }</tool_call>"), "R:|C:}");
  EXPECT_EQ(calls().size(), 1u);
}

TEST_F(AnswerParserTest, TextThatSpellsTagsIsText) {
  const std::string text = "<think>x</think> <tool_call>{\"name\": \"f\"}</tool_call>";
  EXPECT_EQ(feed(tokenizer_.encode(text, /*allow_added=*/false)), "R:|C:" + text);
  EXPECT_TRUE(calls().empty());
}

TEST_F(AnswerParserTest, BrokenUtf8IsReplaced) {
  std::vector<int32_t> ids;
  for (int32_t id = 0; id < 256; ++id) {
    if (tokenizer_.token_bytes(id) == "\xE4") ids.push_back(id);
  }
  ASSERT_EQ(ids.size(), 1u);
  EXPECT_EQ(feed(ids), "R:|C:\xEF\xBF\xBD");
}

}  // namespace
}  // namespace bantam::engine
