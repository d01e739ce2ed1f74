// Which template a model's own Jinja source is matched to: exactly, nearest with a warning, or refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "text/chat_template.h"
#include "text/jinja_source.h"

namespace bantam::text {
namespace {

using ::testing::HasSubstr;

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  size_t count = 0;
  for (size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()), ++count) {
    text.replace(at, from.size(), to);
  }
  EXPECT_GT(count, 0u) << from;
  return text;
}

// The official source of that template; empty when the shared data is absent.
std::string official(TemplateKind kind) {
  const char* env = std::getenv("BANTAM_SHARED");
  const std::filesystem::path shared = env != nullptr ? env : BANTAM_SOURCE_DIR "/../shared";
  std::ifstream file(shared / "data/qwen3-tokenizer/chat_templates" / (std::string(template_name(kind)) + ".jinja"),
                     std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void expect_exact(const std::string& source, TemplateKind kind) {
  const auto match = match_template(source);
  ASSERT_TRUE(match.ok()) << match.status().message();
  EXPECT_EQ(template_name(match->kind), template_name(kind));
  EXPECT_TRUE(match->exact);
  EXPECT_EQ(match->warning, "");
}

void expect_nearest(const std::string& source, TemplateKind kind) {
  const auto match = match_template(source);
  ASSERT_TRUE(match.ok()) << match.status().message();
  EXPECT_EQ(template_name(match->kind), template_name(kind)) << match->warning;
  EXPECT_FALSE(match->exact);
  EXPECT_THAT(match->warning, HasSubstr("using " + std::string(template_name(kind))));
  EXPECT_THAT(match->warning, HasSubstr("--template NAME"));
}

void expect_refused(std::string_view source, std::string_view why) {
  const auto match = match_template(source);
  ASSERT_FALSE(match.ok()) << match->warning;
  EXPECT_THAT(std::string(match.status().message()), HasSubstr(std::string(why)));
  EXPECT_THAT(std::string(match.status().message()), HasSubstr("--template NAME (NAME: qwen3-hybrid, "));
}

#define OFFICIAL_OR_SKIP(name, kind)       \
  const std::string name = official(kind); \
  if (name.empty()) GTEST_SKIP() << "needs ../shared (or BANTAM_SHARED): the official chat templates"

TEST(TemplateMatch, OfficialFilesAreExact) {
  for (const TemplateKind kind : kAllTemplates) {
    OFFICIAL_OR_SKIP(source, kind);
    expect_exact(source, kind);
  }
}

TEST(TemplateMatch, InsignificantChangesStayExact) {
  for (const TemplateKind kind : kAllTemplates) {
    OFFICIAL_OR_SKIP(source, kind);
    expect_exact("{#- by somebody #}\n" + source + "\n", kind);
    expect_exact(replaced(source, "\n", "\r\n"), kind);
    expect_exact(replaced(source, "    ", "\t"), kind);
    expect_exact(replaced(source, "{%- if tools %}", "{%-  if   tools -%}"), kind);
    expect_exact(replaced(source, "message.role == \"tool\"", "message . role=='tool'"), kind);
    expect_exact(
        replaced(source, "{{- '<|im_end|>\\n' }}", "{%- generation %}{{- '<|im_end|>\\n' }}{%- endgeneration %}"),
        kind);
  }
}

TEST(TemplateMatch, ThirdPartyVariantsTakeTheNearest) {
  for (const TemplateKind kind : kAllTemplates) {
    OFFICIAL_OR_SKIP(source, kind);
    expect_nearest(replaced(source, "tool | tojson", "tool | tojson(ensure_ascii=False)"), kind);
    expect_nearest(replaced(source, "# Tools", " # Tools"), kind);
    expect_nearest("{%- set date = strftime_now('%d %b %Y') %}" + source, kind);
    expect_nearest(replaced(source, "<|im_start|>system\\n", "<|im_start|>system\\n<|vision_start|>"), kind);
    if (kind == TemplateKind::qwen3_instruct_2507 || kind == TemplateKind::qwen2_5_instruct) continue;
    expect_nearest(replaced(source, "messages[::-1]", "messages|reverse"), kind);
  }
}

TEST(TemplateMatch, NullGuardTurnsTheAprilTemplateIntoTheTolerantOne) {
  OFFICIAL_OR_SKIP(source, TemplateKind::qwen3_hybrid_2504);
  expect_nearest(replaced(source, "{%- set index = (messages|length - 1) - loop.index0 %}",
                          "{%- set index = (messages|length - 1) - loop.index0 %}{%- set message = messages[index] %}"
                          "{%- set current = message.content if message.content is not none else '' %}"),
                 TemplateKind::qwen3_hybrid);
}

// The features alone, without the shared files.
constexpr std::string_view kHead =
    "{%- if tools %}{{- '<|im_start|>system\\n# Tools\\n\\nYou may call one or more functions to assist with the user "
    "query.' }}{%- for tool in tools %}{{- tool | tojson }}{%- endfor %}{{- '<tool_call>' }}{%- endif %}";
constexpr std::string_view kTurn = "{%- for message in messages %}{{- '<|im_start|>' + message.role }}{%- endfor %}";

TEST(TemplateMatch, FeaturesDecide) {
  const std::string base = std::string(kHead) + std::string(kTurn);
  const std::string prompt = "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}";
  expect_nearest(base, TemplateKind::qwen3_instruct_2507);
  expect_nearest(base + "{%- if message.content is string %}{%- endif %}" + prompt +
                     "{%- if enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}",
                 TemplateKind::qwen3_hybrid);
  expect_nearest(base + prompt + "{%- if enable_thinking is false %}{{- '<think>' }}{%- endif %}{%- endif %}",
                 TemplateKind::qwen3_hybrid_2504);
  expect_nearest(base + prompt + "{{- '<think>\\n' }}{%- endif %}", TemplateKind::qwen3_thinking_2507);
  expect_nearest(base + "{{ 'You are Qwen, created by Alibaba Cloud.' }}" + prompt, TemplateKind::qwen2_5_instruct);
}

TEST(TemplateMatch, PlainChatMlIsAcceptedWithAWarning) {
  expect_nearest(
      "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
      "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% "
      "endif %}",
      TemplateKind::qwen3_instruct_2507);
}

TEST(TemplateMatch, OtherFamiliesAndNoneAreRefused) {
  expect_refused("", "the model brings none");
  expect_refused(" \n\t", "the model brings none");
  expect_refused("{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m.role }}{% endfor %}",
                 "without <|im_start|> turns");
  expect_refused("{{ '[INST] ' + messages[0].content + ' [/INST]' }}", "without <|im_start|> turns");
  expect_refused("{{ '<start_of_turn>' + role }}", "without <|im_start|> turns");
  expect_refused("{{ '<|im_start|>' }}{{ '<function=' + call.name }}", "writes <function=");
  expect_refused("{{ '<|im_start|>' }}{% if tools %}{{ 'You can use: ' }}{% endif %}", "presents tools in another way");
  expect_refused("{{ '<|im_start|>' ", "never closed");
  expect_refused("{% if x == 'a %}<|im_start|>", "never closed");
  expect_refused("<|im_start|>{# a comment", "never closed");
  expect_refused(std::string((1u << 20) + 1, 'x'), "expected at most");
}

TEST(CanonicalJinja, WhiteSpaceControlIsJinjas) {
  const auto canonical = [](std::string_view source) { return canonical_jinja(source).value_or("none"); };
  EXPECT_EQ(canonical("a  {%- if x -%}  b\n"), "text 1 a\n{% if x %}\ntext 1 b\n");
  EXPECT_EQ(canonical("a\n  {% if x %}\nb"), "text 2 a\n\n{% if x %}\ntext 1 b\n");  // lstrip and trim
  EXPECT_EQ(canonical("a {% if x %}\n\nb"), "text 2 a \n{% if x %}\ntext 2 \nb\n");  // not from the line's start
  EXPECT_EQ(canonical("  {%+ if x +%}\nb"), "text 2   \n{% if x %}\ntext 2 \nb\n");  // switched off
  EXPECT_EQ(canonical("  {{ x }}\nb"), "text 2   \n{{ x }}\ntext 2 \nb\n");          // not around output
  EXPECT_EQ(canonical("a{# c #}\nb"), "text 2 ab\n");
  EXPECT_EQ(canonical("a{% generation %}b{%- endgeneration %}c"), "text 3 abc\n");
}

TEST(CanonicalJinja, TokensAndStrings) {
  const auto canonical = [](std::string_view source) { return canonical_jinja(source).value_or("none"); };
  EXPECT_EQ(canonical("{{a.b|c( \"x\" )}}"), canonical("{{ a . b | c ('x') }}"));
  EXPECT_EQ(canonical("{{ 'it\\'s' }}"), canonical("{{ \"it's\" }}"));
  EXPECT_EQ(canonical("{{ 'a\\n' }}"), canonical("{{ 'a\n' }}"));
  EXPECT_NE(canonical("{{ 'a\\\\n' }}"), canonical("{{ 'a\\n' }}"));
  EXPECT_NE(canonical("{{ 'a b' }}"), canonical("{{ 'a  b' }}"));
  EXPECT_NE(canonical("{{ a == b }}"), canonical("{{ a = = b }}"));
  EXPECT_NE(canonical("{{ ab }}"), canonical("{{ a b }}"));
  EXPECT_EQ(canonical("{{ {'a': {}} }}x"), "{{ { 'a' : { } } }}\ntext 1 x\n");
  EXPECT_EQ(canonical("{{ '%}' }}"), "{{ '%}' }}\n");
}

}  // namespace
}  // namespace bantam::text
