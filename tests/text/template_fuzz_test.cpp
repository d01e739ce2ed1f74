// Random trees as messages and tools, and random Jinja sources: a text or an error, never a crash, and pieces that
// always cover the text. Meant to run under sanitizers as well.
#include <gtest/gtest.h>

#include <array>
#include <chrono>

#include "base/rng.h"
#include "text/chat_template.h"
#include "text/jinja_source.h"

namespace bantam::text {
namespace {

constexpr std::array<std::string_view, 20> kTexts = {"role",
                                                     "content",
                                                     "reasoning_content",
                                                     "tool_calls",
                                                     "function",
                                                     "name",
                                                     "arguments",
                                                     "user",
                                                     "system",
                                                     "assistant",
                                                     "tool",
                                                     "",
                                                     "\n",
                                                     "<think>a\n</think>\n\nb",
                                                     "</think>",
                                                     "<tool_response>x</tool_response>",
                                                     "<think>",
                                                     "\xC3\xA9'\"",
                                                     "\n\n\n",
                                                     "\x01\x7F"};
constexpr std::array<std::string_view, 8> kNumbers = {"0",    "-0",  "1e400", "-1e-400", "0.1", "12345678901234567890",
                                                      "1e16", "-0.0"};

class Trees {
 public:
  explicit Trees(uint64_t seed) : rng_(seed) {}

  JsonValue tree(int depth) {
    switch (rng_.below(depth > 0 ? 9 : 5)) {
      case 0:
        return JsonValue();
      case 1:
        return JsonValue::boolean(rng_.below(2) == 0);
      case 2:
        return JsonValue::number(std::string(kNumbers[rng_.below(kNumbers.size())]));
      case 3:
      case 4:
        return JsonValue::string(text());
      case 5:
      case 6:
        return array(depth);
      default:
        return object(depth);
    }
  }

  // Mostly message-like, so that the renderers are entered and not only the shape checks.
  JsonValue messages() {
    if (rng_.below(20) == 0) return tree(4);
    JsonValue out = JsonValue::array();
    for (uint32_t n = rng_.below(6); n > 0; --n) {
      if (rng_.below(40) == 0) {
        out.items().push_back(tree(3));
        continue;
      }
      JsonValue message = object(4);
      constexpr std::array<std::string_view, 4> kRoles = {"user", "assistant", "tool", "system"};
      if (rng_.below(10) > 0) message.set("role", JsonValue::string(std::string(kRoles[rng_.below(4)])));
      if (rng_.below(4) > 0) message.set("content", rng_.below(4) > 0 ? JsonValue::string(text()) : tree(2));
      out.items().push_back(std::move(message));
    }
    return out;
  }

  JsonValue array(int depth) {
    JsonValue out = JsonValue::array();
    for (uint32_t n = rng_.below(4); n > 0; --n) out.items().push_back(tree(depth - 1));
    return out;
  }

  JsonValue object(int depth) {
    JsonValue out = JsonValue::object();
    for (uint32_t n = rng_.below(5); n > 0; --n) out.set(kTexts[rng_.below(kTexts.size())], tree(depth - 1));
    return out;
  }

  std::string text() {
    std::string out;
    for (uint32_t n = rng_.below(3) + 1; n > 0; --n) out += kTexts[rng_.below(kTexts.size())];
    return out;
  }

  Philox& rng() { return rng_; }

 private:
  Philox rng_;
};

TEST(TemplateFuzz, RandomTreesGiveTextOrError) {
  Trees trees(7);
  int texts = 0, errors = 0;
  for (int i = 0; i < 20000; ++i) {
    const JsonValue messages = trees.messages();
    const JsonValue tools = trees.rng().below(2) == 0 ? JsonValue() : trees.tree(3);
    const TemplateKind kind = kAllTemplates[trees.rng().below(kAllTemplates.size())];
    const auto rendered = render(kind, messages, &tools, {trees.rng().below(2) == 0, std::nullopt});
    if (!rendered.ok()) {
      ++errors;
      ASSERT_FALSE(rendered.status().message().empty());
      continue;
    }
    ++texts;
    size_t at = 0;
    for (size_t k = 0; k < rendered->pieces.size(); ++k) {
      const Rendered::Piece& piece = rendered->pieces[k];
      ASSERT_EQ(piece.begin, at);
      ASSERT_GT(piece.end, piece.begin);
      ASSERT_TRUE(k == 0 || piece.allow_control != rendered->pieces[k - 1].allow_control);
      at = piece.end;
    }
    ASSERT_EQ(at, rendered->text.size());
  }
  EXPECT_GT(texts, 2000);
  EXPECT_GT(errors, 2000);
}

TEST(TemplateFuzz, RandomSourcesMatchOrAreRefused) {
  constexpr std::array<std::string_view, 22> kBits = {
      "{{",  "}}",   "{%",       "%}",           "{#",    "#}",
      "-",   "+",    "'",        "\"",           "\\",    "\n",
      " ",   "{",    "}",        "<|im_start|>", "tools", "enable_thinking",
      "if ", "\xFF", "</think>", "generation"};
  Philox rng(8);
  for (int i = 0; i < 20000; ++i) {
    std::string source;
    for (uint32_t n = rng.below(30); n > 0; --n) source += kBits[rng.below(kBits.size())];
    const auto match = match_template(source);
    if (!match.ok()) {
      ASSERT_FALSE(match.status().message().empty());
    } else {
      ASSERT_FALSE(match->exact) << source;
    }
  }
}

TEST(TemplateFuzz, LongSourcesAreReadInLinearTime) {
  const auto start = std::chrono::steady_clock::now();
  for (const std::string_view bit : {"{", "{{", "{%", "{#", "'", "{{'a'}}", "\n", "{{{", " \n{% if %}", "{##}"}) {
    std::string source;
    while (source.size() + bit.size() <= (1u << 20)) source += bit;
    EXPECT_FALSE(match_template(source).ok());
  }
  // Takes 0.1 s; quadratic work on a megabyte would take minutes.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

}  // namespace
}  // namespace bantam::text
