// The renderers against committed reference text (cases/templates.jsonl), their provenance at span level, and what
// they say when the reference raises.
#include "text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

namespace bantam::text {
namespace {

using ::testing::HasSubstr;

JsonValue parse(std::string_view text) {
  auto value = parse_json(text);
  EXPECT_TRUE(value.ok()) << text;
  return value.ok() ? std::move(value).value() : JsonValue();
}

Result<Rendered> render_text(TemplateKind kind, std::string_view messages, RenderOptions options = {}) {
  return render(kind, parse(messages), nullptr, options);
}

std::string error_of(TemplateKind kind, std::string_view messages) {
  const auto rendered = render_text(kind, messages);
  return rendered.ok() ? "no error: " + rendered->text : std::string(rendered.status().message());
}

TEST(ChatTemplate, EqualsTheReferenceOnCommittedCases) {
  std::ifstream file(BANTAM_SOURCE_DIR "/tests/text/cases/templates.jsonl");
  ASSERT_TRUE(file);
  int texts = 0, errors = 0;
  for (std::string line; std::getline(file, line);) {
    const JsonValue row = parse(line);
    const JsonValue* request = row.find("request");
    ASSERT_NE(request, nullptr);
    const auto kind = parse_template_name(request->find("template")->as_string());
    ASSERT_TRUE(kind.has_value());
    RenderOptions options;
    if (const JsonValue* v = request->find("add_generation_prompt")) options.add_generation_prompt = v->as_bool();
    if (const JsonValue* v = request->find("enable_thinking")) options.enable_thinking = v->as_bool();
    const auto rendered = render(*kind, *request->find("messages"), request->find("tools"), options);
    if (const JsonValue* want = row.find("text")) {
      ASSERT_TRUE(rendered.ok()) << rendered.status().message() << "\n" << line;
      ASSERT_EQ(rendered->text, want->as_string()) << line;
      ++texts;
    } else {
      ASSERT_FALSE(rendered.ok()) << "the reference raises on " << line;
      ++errors;
    }
  }
  EXPECT_GE(texts, 200);
  EXPECT_GE(errors, 20);
}

TEST(ChatTemplate, NamesRoundTrip) {
  for (const TemplateKind kind : kAllTemplates) EXPECT_EQ(parse_template_name(template_name(kind)), kind);
  EXPECT_FALSE(parse_template_name("qwen3").has_value());
  EXPECT_THAT(template_names(), HasSubstr("qwen3-hybrid, qwen3-hybrid-2504"));
}

TEST(ChatTemplate, PiecesSeparateTheTemplatesTextFromTheRequests) {
  const auto rendered = render_text(TemplateKind::qwen3_hybrid,
                                    R"([{"role":"user","content":"<|im_end|>"},
                                        {"role":"assistant","content":"<think>A</think>B<think>"}])");
  ASSERT_TRUE(rendered.ok());
  std::string shown;
  for (const Span& span : rendered->spans()) {
    shown += span.allow_control ? "{" + std::string(span.text) + "}" : std::string(span.text);
  }
  EXPECT_EQ(shown,
            "{<|im_start|>user\n}<|im_end|>{<|im_end|>\n<|im_start|>assistant\n<think>\n}A{\n</think>\n\n}B<think>"
            "{<|im_end|>\n}");
}

TEST(ChatTemplate, ThinkingInContentIsPlainWhereTheTemplateDoesNotTakeItApart) {
  for (const TemplateKind kind : {TemplateKind::qwen3_instruct_2507, TemplateKind::qwen2_5_instruct}) {
    const auto rendered = render_text(kind, R"([{"role":"system","content":""},
                                                {"role":"assistant","content":"<think>A</think>B"}])");
    ASSERT_TRUE(rendered.ok());
    bool found = false;
    for (const Span& span : rendered->spans()) found |= !span.allow_control && span.text == "<think>A</think>B";
    EXPECT_TRUE(found) << rendered->text;
  }
}

TEST(ChatTemplate, GenerationPromptByTemplateAndSwitch) {
  const auto prompt = [](TemplateKind kind, std::optional<bool> thinking) {
    const auto rendered = render_text(kind, R"([{"role":"user","content":"q"}])", {true, thinking});
    EXPECT_TRUE(rendered.ok());
    return rendered->text.substr(rendered->text.rfind("assistant\n") + 10);
  };
  const std::string closed = "<think>\n\n</think>\n\n";
  for (const TemplateKind kind : {TemplateKind::qwen3_hybrid, TemplateKind::qwen3_hybrid_2504}) {
    EXPECT_EQ(prompt(kind, false), closed);
    EXPECT_EQ(prompt(kind, true), "");
    EXPECT_EQ(prompt(kind, std::nullopt), "");
  }
  EXPECT_EQ(prompt(TemplateKind::qwen3_thinking_2507, false), "<think>\n");
  EXPECT_EQ(prompt(TemplateKind::qwen3_instruct_2507, false), "");
  EXPECT_EQ(prompt(TemplateKind::qwen2_5_instruct, false), "");
}

TEST(ChatTemplate, ErrorsNameTheMessageAndTheField) {
  EXPECT_EQ(error_of(TemplateKind::qwen3_hybrid_2504,
                     R"([{"role":"user","content":"q"},{"role":"assistant","content":null}])"),
            "qwen3-hybrid-2504: messages[1] (assistant): content: expected a string, got null");
  EXPECT_EQ(error_of(TemplateKind::qwen3_hybrid, R"([{"role":"user","content":"q"},
      {"role":"assistant","tool_calls":[{"name":"a","arguments":{}},{"name":"b"}]}])"),
            "qwen3-hybrid: messages[1] (assistant): tool_calls[1].arguments: expected an object or a string, got "
            "nothing");
  EXPECT_THAT(error_of(TemplateKind::qwen3_hybrid, "[]"), HasSubstr("at least one message"));
  EXPECT_THAT(error_of(TemplateKind::qwen3_hybrid, R"([{"role":"user"},"hi"])"),
              HasSubstr("messages[1]: expected an object, got string"));
  EXPECT_THAT(error_of(TemplateKind::qwen3_hybrid, R"({"role":"user"})"), HasSubstr("expected an array, got object"));
  const JsonValue tools = parse(R"([{}, "x"])");
  const auto rendered = render(TemplateKind::qwen3_hybrid, parse(R"([{"role":"user"}])"), &tools, {});
  ASSERT_FALSE(rendered.ok());
  EXPECT_THAT(std::string(rendered.status().message()), HasSubstr("tools[1]: expected an object, got string"));
}

TEST(ChatTemplate, NormalisedMessagesRenderWhereTheReferenceRaises) {
  const JsonValue messages = parse(R"([{"role":"user","content":null},
      {"content":null,"role":"assistant","tool_calls":[{"name":"f","arguments":{}}]},{"role":"tool"}, 7])");
  ASSERT_FALSE(render(TemplateKind::qwen3_hybrid_2504, messages, nullptr, {}).ok());
  JsonValue fixed = normalise_messages(messages);
  EXPECT_EQ(to_json(fixed),
            R"([{"role":"user","content":""},{"content":"","role":"assistant","tool_calls":[{"name":"f","arguments":)"
            R"({}}]},{"role":"tool","content":""},7])");
  fixed.items().pop_back();
  for (const TemplateKind kind : kAllTemplates) EXPECT_TRUE(render(kind, fixed, nullptr, {}).ok());
  EXPECT_TRUE(normalise_messages(JsonValue()).is_null());
}

}  // namespace
}  // namespace bantam::text
