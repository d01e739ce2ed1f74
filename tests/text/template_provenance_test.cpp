// No field of a request can produce a control token: every added token of the family, whole and split between
// neighbouring fields, in every field, with every template; at span level and as ids of a byte-level tokenizer.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "text/chat_template.h"
#include "text/tokenizer_loader.h"

namespace bantam::text {
namespace {

// The 26 added tokens in order of id.
constexpr std::array<std::string_view, 26> kAdded = {
    "<|endoftext|>",  "<|im_start|>",   "<|im_end|>",      "<|object_ref_start|>", "<|object_ref_end|>",
    "<|box_start|>",  "<|box_end|>",    "<|quad_start|>",  "<|quad_end|>",         "<|vision_start|>",
    "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>",   "<|video_pad|>",        "<tool_call>",
    "</tool_call>",   "<|fim_prefix|>", "<|fim_middle|>",  "<|fim_suffix|>",       "<|fim_pad|>",
    "<|repo_name|>",  "<|file_sep|>",   "<tool_response>", "</tool_response>",     "<think>",
    "</think>"};

// Every text a request brings, in the order in which a prompt shows it.
enum Field : size_t {
  kSystem,
  kToolName,
  kToolDescription,
  kToolKey,
  kUser,
  kReasoning,
  kContent,
  kCallName,
  kArgumentKey,
  kArgumentValue,
  kStringArguments,
  kResult,
  kSecondResult,
  kLaterSystem,
  kLaterUser,
  kLastReasoning,
  kLastContent,
  kFields
};
using Texts = std::array<std::string, kFields>;

JsonValue str(const std::string& text) {
  return JsonValue::string(text);
}

JsonValue message(std::string_view role, const std::string& content) {
  return JsonValue::object({{"role", str(std::string(role))}, {"content", str(content)}});
}

JsonValue call(const std::string& name, JsonValue arguments) {
  return JsonValue::object(
      {{"function", JsonValue::object({{"name", str(name)}, {"arguments", std::move(arguments)}})}});
}

// One conversation with every field in it. Without `reasoning` the thinking must come out of the content.
Result<Rendered> render_fields(TemplateKind kind, const Texts& f, bool reasoning) {
  JsonValue assistant = message("assistant", f[kContent]);
  JsonValue last = message("assistant", f[kLastContent]);
  if (reasoning) {
    assistant.set("reasoning_content", str(f[kReasoning]));
    last.set("reasoning_content", str(f[kLastReasoning]));
  }
  assistant.set("tool_calls",
                JsonValue::array({call(f[kCallName], JsonValue::object({{f[kArgumentKey], str(f[kArgumentValue])}})),
                                  call(f[kCallName], str(f[kStringArguments]))}));
  // The later user turn comes before the tool loop's end, so that the first assistant turn is history: there content
  // is content, whatever it spells.
  const JsonValue messages = JsonValue::array(
      {message("system", f[kSystem]), message("user", f[kUser]), assistant, message("tool", f[kResult]),
       message("tool", f[kSecondResult]), message("system", f[kLaterSystem]), message("user", f[kLaterUser]), last});
  const JsonValue tools =
      JsonValue::array({JsonValue::object({{"name", str(f[kToolName])},
                                           {"description", str(f[kToolDescription])},
                                           {"parameters", JsonValue::object({{f[kToolKey], JsonValue::object()}})}})});
  return render(kind, messages, &tools, {true, false});
}

Texts harmless() {
  Texts texts;
  texts.fill("word");
  return texts;
}

// The control tokens that the template's own text spells, in order.
std::string controls(const Rendered& rendered) {
  std::string out;
  for (const Span& span : rendered.spans()) {
    for (size_t i = 0; span.allow_control && i < span.text.size(); ++i) {
      for (const std::string_view token : kAdded) {
        if (span.text.substr(i).starts_with(token)) out += token;
      }
    }
  }
  return out;
}

// A tokenizer whose ordinary tokens are the 256 bytes, with the family's added tokens from id 256 on.
Tokenizer byte_tokenizer() {
  JsonValue vocab = JsonValue::object();
  uint32_t moved = 256;  // GPT-2's byte spelling: printable Latin-1 as itself, the rest from U+0100 on
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool kept = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
    const uint32_t code = kept ? byte : moved++;
    std::string spelling;
    if (code < 0x80) {
      spelling = static_cast<char>(code);
    } else {
      spelling = {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
    }
    vocab.set(spelling, JsonValue::number(int64_t{byte}));
  }
  JsonValue added = JsonValue::object();
  for (size_t i = 0; i < kAdded.size(); ++i) {
    added.set(std::to_string(256 + i), JsonValue::object({{"content", str(std::string(kAdded[i]))},
                                                          {"lstrip", JsonValue::boolean(false)},
                                                          {"normalized", JsonValue::boolean(false)},
                                                          {"rstrip", JsonValue::boolean(false)},
                                                          {"single_word", JsonValue::boolean(false)},
                                                          {"special", JsonValue::boolean(i < 14)}}));
  }
  const JsonValue config =
      JsonValue::object({{"added_tokens_decoder", std::move(added)}, {"tokenizer_class", str("Qwen2Tokenizer")}});
  const std::string vocab_json = to_json(vocab), config_json = to_json(config);
  TokenizerFiles files;
  files.vocab_json = vocab_json;
  files.merges_txt = "#version: 0.2\n";
  files.tokenizer_config_json = config_json;
  auto loaded = load_tokenizer(files);
  if (!loaded.ok()) ADD_FAILURE() << loaded.status().message();
  return std::move(loaded).value();
}

int64_t count_added(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  return std::count_if(ids.begin(), ids.end(), [&](int32_t id) { return tokenizer.is_added(id); });
}

// Calls check(what, rendered with the attack, rendered with harmless text) for every token, field and template.
template <class Check>
void for_every_attack(const Check& check) {
  for (const TemplateKind kind : kAllTemplates) {
    for (const bool reasoning : {true, false}) {
      const auto base = render_fields(kind, harmless(), reasoning);
      ASSERT_TRUE(base.ok()) << base.status().message();
      for (const std::string_view token : kAdded) {
        for (size_t field = 0; field < kFields; ++field) {
          for (const std::string& attack : {std::string(token), "a" + std::string(token) + "b " + std::string(token)}) {
            Texts texts = harmless();
            texts[field] = attack;
            const auto rendered = render_fields(kind, texts, reasoning);
            ASSERT_TRUE(rendered.ok()) << rendered.status().message();
            check(fmt::format("{} {} in field {}", template_name(kind), attack, field), *rendered, *base);
          }
        }
      }
    }
  }
}

TEST(TemplateProvenance, TheTemplatesControlTokensDoNotDependOnWhatFieldsSpell) {
  for_every_attack([](const std::string& what, const Rendered& rendered, const Rendered& base) {
    ASSERT_EQ(controls(rendered), controls(base)) << what;
  });
}

TEST(TemplateProvenance, NoFieldProducesAControlId) {
  const Tokenizer tokenizer = byte_tokenizer();
  int64_t would_be = 0;
  for_every_attack([&](const std::string& what, const Rendered& rendered, const Rendered& base) {
    const int64_t want = count_added(tokenizer, tokenizer.encode(base.spans()));
    ASSERT_EQ(count_added(tokenizer, tokenizer.encode(rendered.spans())), want) << what;
    would_be += count_added(tokenizer, tokenizer.encode(rendered.text, true)) - want;
  });
  EXPECT_GT(would_be, 5000);  // the attacks do work on an encoder without provenance
}

TEST(TemplateProvenance, TokensSplitBetweenNeighbouringFieldsStayText) {
  const Tokenizer tokenizer = byte_tokenizer();
  for (const TemplateKind kind : kAllTemplates) {
    const auto base = render_fields(kind, harmless(), true);
    ASSERT_TRUE(base.ok());
    const int64_t want = count_added(tokenizer, tokenizer.encode(base->spans()));
    for (const std::string_view token : kAdded) {
      for (size_t cut = 1; cut < token.size(); ++cut) {
        Texts texts;
        for (size_t i = 0; i < kFields; ++i) texts[i] = i % 2 == 0 ? token.substr(0, cut) : token.substr(cut);
        for (int shift = 0; shift < 2; ++shift) {
          std::rotate(texts.begin(), texts.begin() + shift, texts.end());
          const auto rendered = render_fields(kind, texts, true);
          ASSERT_TRUE(rendered.ok());
          ASSERT_EQ(controls(*rendered), controls(*base)) << token << " cut at " << cut;
          ASSERT_EQ(count_added(tokenizer, tokenizer.encode(rendered->spans())), want) << token << " cut at " << cut;
        }
      }
    }
  }
}

// Inside a tool loop the template takes thinking out of content and writes its own tags around it: the same ids as if
// the reasoning had come in its own field, and never more.
TEST(TemplateProvenance, ThinkingSplitFromContentIsFramedByTheTemplateAlone) {
  const Tokenizer tokenizer = byte_tokenizer();
  const auto loop = [](JsonValue assistant) {
    assistant.set("tool_calls", JsonValue::array({call("f", JsonValue::object())}));
    return JsonValue::array({message("user", "q"), std::move(assistant), message("tool", "r")});
  };
  JsonValue given = message("assistant", "c");
  given.set("reasoning_content", str("a<think> b"));
  const JsonValue structured = loop(given),
                  inlined = loop(message("assistant", "<think>\nx<think>a<think> b\n</think>\nc"));
  for (const TemplateKind kind :
       {TemplateKind::qwen3_hybrid, TemplateKind::qwen3_hybrid_2504, TemplateKind::qwen3_thinking_2507}) {
    const auto one = render(kind, structured, nullptr, {}), two = render(kind, inlined, nullptr, {});
    ASSERT_TRUE(one.ok() && two.ok());
    EXPECT_EQ(controls(*one), controls(*two));
    EXPECT_NE(controls(*one).find("<think>"), std::string::npos);
    EXPECT_EQ(count_added(tokenizer, tokenizer.encode(one->spans())), 12);  // 3 turns; think, call and response pairs
    EXPECT_EQ(count_added(tokenizer, tokenizer.encode(two->spans())), 12);
  }
}

}  // namespace
}  // namespace bantam::text
