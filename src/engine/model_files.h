// What a checkpoint says beyond its weights, turned into the text room's objects: tokenizer, chat template, stop
// tokens, sampling defaults. The seam between formats (bytes) and text (meaning). Free functions; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/checkpoint.h"
#include "text/tokenizer.h"

namespace bantam::engine {

// What to call the model at `path`: its last part without ".gguf", of a snapshot in the Hugging Face cache
// the repository's; "bantam-nano" for the embedded one (path "").
std::string model_name(const std::string& path);

// From tokenizer.json, vocab.json + merges.txt, or GGUF metadata.
Result<text::Tokenizer> load_tokenizer(const formats::Checkpoint& checkpoint);

// generation_config.json's wishes; absent ones stay empty. GGUF: only the end tokens, from its metadata.
struct GenerationDefaults {
  std::vector<int32_t> stop_ids;
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<int32_t> top_k;
};
Result<GenerationDefaults> generation_defaults(const formats::Checkpoint& checkpoint);

// The ids of the model's `rows` output rows that no token spells; sampling must never choose them.
std::vector<int32_t> textless_ids(const text::Tokenizer& tokenizer, int64_t rows);

}  // namespace bantam::engine
