// From a conversation to what a generation needs: the prompt's ids and the sampling settings of its thinking mode.
// The seam between templates (text) and answers (engine); shared by the command line and the server. Free functions
// without state; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bantam/engine.h"
#include "base/json.h"
#include "base/result.h"
#include "engine/written_turn.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace bantam::engine {

// The prompt of a conversation: rendered by the template, control tokens only where the template put them. `find`: the
// turns whose own ids are known.
struct Prompt {
  std::string text;
  std::vector<int32_t> ids;
  bool starts_in_thinking = false;
};
Result<Prompt> render_prompt(const text::Tokenizer& tokenizer, text::TemplateKind kind, const JsonValue& messages,
                             const JsonValue* tools, std::optional<bool> enable_thinking, const FindTurn& find = {});

// Whether the model will think: always, never, or as asked (hybrids think unless told not to).
bool will_think(text::TemplateKind kind, std::optional<bool> enable_thinking);

// What a user asked for; the rest comes from the model. Fields as SamplingOptions.
struct SamplingWishes {
  std::optional<double> temperature, top_p, min_p, presence_penalty, frequency_penalty, repetition_penalty;
  std::optional<int32_t> top_k;
  std::optional<uint64_t> seed;  // unset: a random one
};
// The model's defaults (generation_config.json, else the family's for the thinking mode), overridden by wishes. A
// model's own numbers describe its default mode; the other mode of a hybrid takes the family's.
SamplingOptions resolve_sampling(const SamplingWishes& wishes, const ModelInfo& info, bool thinking, bool hybrid);

}  // namespace bantam::engine
