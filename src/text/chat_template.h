// Chat templates, natively: messages and tools in, prompt text with provenance out, byte for byte what transformers'
// Jinja environment prints for the family's five official templates. Called by engine, tasks, server and cli.
//
// Invariants: template-owned text carries allow_control = true, text that came with the request never does, so no
// message can produce a control token. Nothing here interprets Jinja: an unknown template is matched to the nearest
// of the five (match_template) or refused.
// Thread-safety: free functions without state; the types are plain data.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "text/tokenizer.h"

namespace bantam::text {

enum class TemplateKind : uint8_t {
  qwen3_hybrid,         // thinking switchable; content that is not a string counts as empty
  qwen3_hybrid_2504,    // the April 2025 release: the same, but content must be a string
  qwen3_instruct_2507,  // no thinking at all
  qwen3_thinking_2507,  // always thinks: <think> is opened in the prompt
  qwen2_5_instruct,
};
inline constexpr std::array kAllTemplates = {TemplateKind::qwen3_hybrid, TemplateKind::qwen3_hybrid_2504,
                                             TemplateKind::qwen3_instruct_2507, TemplateKind::qwen3_thinking_2507,
                                             TemplateKind::qwen2_5_instruct};

// True where enable_thinking switches something.
constexpr bool is_hybrid(TemplateKind kind) {
  return kind == TemplateKind::qwen3_hybrid || kind == TemplateKind::qwen3_hybrid_2504;
}

// The name users write after --template, e.g. "qwen3-hybrid-2504".
std::string_view template_name(TemplateKind kind);
std::optional<TemplateKind> parse_template_name(std::string_view name);
// All five names joined with ", ", for help texts and messages.
std::string template_names();

struct RenderOptions {
  bool add_generation_prompt = false;
  std::optional<bool> enable_thinking;  // read by the hybrid templates only; unset is not the same as false there
};

struct Rendered {
  // Bytes [begin, end) of text; neighbours differ in allow_control, and all pieces together cover the text.
  struct Piece {
    size_t begin = 0;
    size_t end = 0;
    bool allow_control = false;
    bool operator==(const Piece&) const = default;
  };
  // An assistant's turn that was given as a message: bytes [begin, end) of text lie between "<|im_start|>assistant\n"
  // and "<|im_end|>"; what precedes `content` is its thinking in the template's frame.
  struct Answer {
    size_t message = 0;  // its index
    size_t begin = 0, content = 0, end = 0;
  };
  std::string text;
  std::vector<Piece> pieces;
  std::vector<Answer> answers;  // in order

  // The pieces as what Tokenizer::encode takes. Views into text: they live as long as it does, unmoved.
  std::vector<Span> spans() const;
};

// Renders a conversation. `messages` is an array of objects (role, content, reasoning_content, tool_calls), `tools`
// an array of objects, null or absent. Messages with a role the template does not know are left out, as it does.
// Errors (kBadInput) where the reference raises, naming the message, the field, what was expected and what came; and
// for shapes apply_chat_template refuses: no messages, or a message or tool that is no object.
// Source: transformers.utils.chat_template_utils (the environment) and Qwen's five .jinja files.
Result<Rendered> render(TemplateKind kind, const JsonValue& messages, const JsonValue* tools, RenderOptions options);

// For the chat paths, which treat absent content as empty: every message object whose content is null or missing gets
// content "". Anything else is returned as it came. render() alone reports what the reference reports.
JsonValue normalise_messages(JsonValue messages);

struct TemplateMatch {
  TemplateKind kind = TemplateKind::qwen3_hybrid;
  bool exact = false;   // the source is one of the five, up to insignificant white space, comments and quotes
  std::string warning;  // empty when exact; else one sentence for the user
};

// Which of the five a model's own template (Jinja source, untrusted) is or comes nearest to. Errors (kBadInput) when
// it is empty or of another family; the message offers --template NAME.
Result<TemplateMatch> match_template(std::string_view jinja_source);

}  // namespace bantam::text
