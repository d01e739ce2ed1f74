// See prompt.h.
#include "engine/prompt.h"

#include <random>

namespace bantam::engine {

Result<Prompt> render_prompt(const text::Tokenizer& tokenizer, text::TemplateKind kind, const JsonValue& messages,
                             const JsonValue* tools, std::optional<bool> enable_thinking, const FindTurn& find) {
  const text::RenderOptions options{.add_generation_prompt = true, .enable_thinking = enable_thinking};
  BANTAM_TRY_ASSIGN(text::Rendered rendered, text::render(kind, text::normalise_messages(messages), tools, options));
  Prompt prompt;
  prompt.ids = encode_rendered(tokenizer, rendered, find);
  prompt.text = std::move(rendered.text);
  prompt.starts_in_thinking = kind == text::TemplateKind::qwen3_thinking_2507;
  return prompt;
}

bool will_think(text::TemplateKind kind, std::optional<bool> enable_thinking) {
  if (text::is_hybrid(kind)) return enable_thinking.value_or(true);
  return kind == text::TemplateKind::qwen3_thinking_2507;
}

SamplingOptions resolve_sampling(const SamplingWishes& wishes, const ModelInfo& info, bool thinking, bool hybrid) {
  SamplingOptions out;
  // The family's recommendation, by mode (Qwen3 model cards).
  out.temperature = thinking ? 0.6 : 0.7;
  out.top_p = thinking ? 0.95 : 0.8;
  out.top_k = 20;
  if (!hybrid || thinking) {
    if (info.temperature >= 0) out.temperature = info.temperature;
    if (info.top_p >= 0) out.top_p = info.top_p;
    if (info.min_p >= 0) out.min_p = info.min_p;
    if (info.top_k >= 0) out.top_k = info.top_k;
    if (info.repetition_penalty > 0) out.repetition_penalty = info.repetition_penalty;
  }
  out.temperature = wishes.temperature.value_or(out.temperature);
  out.top_p = wishes.top_p.value_or(out.top_p);
  out.min_p = wishes.min_p.value_or(out.min_p);
  out.top_k = wishes.top_k.value_or(out.top_k);
  out.presence_penalty = wishes.presence_penalty.value_or(0.0);
  out.frequency_penalty = wishes.frequency_penalty.value_or(0.0);
  out.repetition_penalty = wishes.repetition_penalty.value_or(out.repetition_penalty);
  out.seed = wishes.seed ? *wishes.seed : std::random_device{}();
  return out;
}

}  // namespace bantam::engine
