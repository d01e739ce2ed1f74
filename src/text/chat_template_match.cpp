// Which of the five templates a model brings: exactly, by fingerprint, or nearest, by the features of its source.
// The source is untrusted text; it is compared, never run.
#include <array>
#include <utility>

#include "text/chat_template.h"
#include "text/jinja_source.h"

namespace bantam::text {
namespace {

constexpr size_t kMaxSourceBytes = size_t{1} << 20;

// fingerprint(canonical_jinja(source)) of the five official files; tools/oracles/check_templates.py --fingerprints
// prints them.
constexpr std::array<std::pair<uint64_t, TemplateKind>, 5> kKnown = {{
    {0x284E0D6243B2F460, TemplateKind::qwen3_hybrid},
    {0x5C868472AFF1AAF5, TemplateKind::qwen3_hybrid_2504},
    {0x415CB1A216F93424, TemplateKind::qwen3_instruct_2507},
    {0x550C8E7BB7745CD9, TemplateKind::qwen3_thinking_2507},
    {0x6099B5B4D3420A5B, TemplateKind::qwen2_5_instruct},
}};

// Text that only other families' templates write, and Qwen's own later ones whose tool calls are XML.
constexpr std::array<std::string_view, 16> kForeign = {
    "<|start_header_id|>",
    "[INST]",
    "<start_of_turn>",
    "<|assistant|>",
    "<|user|>",
    "<\xEF\xBD\x9CUser\xEF\xBD\x9C>",
    "<|channel|>",
    "<|im_sep|>",
    "<|im_middle|>",
    "<|turn>",
    "<function=",
    "<|START_OF_TURN_TOKEN|>",
    "<|start_of_role|>",
    "<|system|>",
    "<|tool_call|>",
    "### Response",
};

// What a canonical source shows of itself.
class Features {
 public:
  explicit Features(std::string_view source) : source_(source) {}

  bool has(std::string_view text) const { return source_.find(text) != source_.npos; }
  bool is_chatml() const { return has("<|im_start|>"); }
  bool presents_tools() const { return has(" if tools ") || has(" in tools ") || has(" tools is ") || has(" tools |"); }
  bool has_qwen_tools() const { return has("You may call one or more functions to assist") && has("<tool_call>"); }
  bool has_switch() const { return has("enable_thinking"); }
  bool takes_thinking_apart() const { return has("</think>") && (has("split") || has("reasoning_content")); }
  // The generation prompt ends inside <think>, with nothing to switch it.
  bool opens_thinking() const {
    const size_t prompt = source_.rfind("add_generation_prompt");
    if (prompt == source_.npos || has_switch()) return false;
    const std::string_view tail = source_.substr(prompt);
    return tail.find("<think>") != tail.npos && tail.find("</think>") == tail.npos;
  }
  // Content other than a string is provided for; the April 2025 template raises on it.
  bool guards_content() const {
    return has(" content is string") || has(". content is not none") || has(". content is none") ||
           has(". content or ") || has("'content' ] is string") || has("'content' ] is not none") ||
           has("content | default") || has("content | string");
  }
  bool has_default_system() const {
    return has("You are Qwen, created by Alibaba Cloud") || has("You are a helpful assistant");
  }

 private:
  std::string_view source_;
};

struct Nearest {
  TemplateKind kind;
  std::string_view because;
};

Nearest nearest(const Features& f) {
  if (f.opens_thinking()) return {TemplateKind::qwen3_thinking_2507, "it opens <think> in the generation prompt"};
  if (f.has_switch() || f.takes_thinking_apart()) {
    if (!f.guards_content()) {
      return {TemplateKind::qwen3_hybrid_2504, "it handles thinking and takes content as a string without asking"};
    }
    return {TemplateKind::qwen3_hybrid, f.has_switch() ? "it reads enable_thinking" : "it takes thinking apart"};
  }
  if (f.has_default_system() || f.has("tool_call . function is defined")) {
    return {TemplateKind::qwen2_5_instruct, "it has a default system text and no thinking"};
  }
  if (!f.has_qwen_tools()) return {TemplateKind::qwen3_instruct_2507, "it is plain ChatML without thinking or tools"};
  return {TemplateKind::qwen3_instruct_2507, "it has Qwen's tools and no thinking"};
}

Status refuse(std::string_view why) {
  return bad_input("chat template: {}; choose one with --template NAME (NAME: {})", why, template_names());
}

}  // namespace

Result<TemplateMatch> match_template(std::string_view jinja_source) {
  if (jinja_source.find_first_not_of(" \t\r\n") == jinja_source.npos) return refuse("the model brings none");
  if (jinja_source.size() > kMaxSourceBytes) {
    return refuse(fmt::format("expected at most {} bytes, got {}", kMaxSourceBytes, jinja_source.size()));
  }
  const std::optional<std::string> canonical = canonical_jinja(jinja_source);
  if (!canonical) return refuse("not Jinja: a tag, comment or string is never closed");
  const uint64_t print = fingerprint(*canonical);
  for (const auto& [known, kind] : kKnown) {
    if (known == print) return TemplateMatch{kind, true, ""};
  }
  const Features features(*canonical);
  if (!features.is_chatml()) return refuse("expected one of the Qwen family, got one without <|im_start|> turns");
  for (const std::string_view mark : kForeign) {
    if (features.has(mark)) return refuse(fmt::format("expected one of the Qwen family, got one that writes {}", mark));
  }
  if (features.presents_tools() && !features.has_qwen_tools()) {
    return refuse("expected one of the Qwen family, got one that presents tools in another way");
  }
  const auto [kind, because] = nearest(features);
  return TemplateMatch{kind, false,
                       fmt::format("the model's chat template is not one of the five known ones (fingerprint "
                                   "{:016x}); using {}, the nearest: {}. Where it was changed, prompts may differ; "
                                   "--template NAME chooses another",
                                   print, template_name(kind), because)};
}

}  // namespace bantam::text
