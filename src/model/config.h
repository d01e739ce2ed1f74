// What a model is: the hyper-parameters of one Qwen3 or Qwen2.5 checkpoint, under Hugging Face's own field names.
// Read from config.json or GGUF metadata, written back to both, validated before anything divides by, multiplies or
// allocates from them. Plain values; thread-safe as such.
// Sources: transformers 5 models/qwen3 and models/qwen2 configuration files; gguf-py constants.py (key names).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace bantam::formats {
class GgufMetadata;
class GgufMetadataBuilder;
}  // namespace bantam::formats

namespace bantam::model {

// Qwen3: per-head norms on q and k, no biases. Qwen2 (and 2.5): biases on q, k, v, no norms.
enum class Family : uint8_t { kQwen3, kQwen2 };
std::string_view family_name(Family family);  // "qwen3", "qwen2": model_type and GGUF architecture alike

// Stretching of the rotary frequencies, as config.json's rope_scaling / rope_parameters spells it.
struct RopeScaling {
  enum class Type : uint8_t { kLinear, kYarn };
  Type type = Type::kYarn;
  double factor = 1;                             // context is stretched by this
  int64_t original_max_position_embeddings = 0;  // positions the model was trained on
  double beta_fast = 32, beta_slow = 1;          // YaRN: rotations at which the ramp begins and ends
  std::optional<double> attention_factor;        // multiplies cos and sin; derived from factor when absent
  std::optional<double> mscale, mscale_all_dim;  // how attention_factor is derived (DeepSeek's spelling)
  bool truncate = true;                          // round the ramp's ends to whole dimensions
  bool operator==(const RopeScaling&) const = default;
};

struct Config {
  Family family = Family::kQwen3;
  int64_t vocab_size = 0;           // V: rows of the embedding, text-less ids included
  int64_t hidden_size = 0;          // D
  int64_t intermediate_size = 0;    // F
  int64_t num_hidden_layers = 0;    // L
  int64_t num_attention_heads = 0;  // Hq
  int64_t num_key_value_heads = 0;  // Hkv, divides Hq
  int64_t head_dim = 0;             // Dh, a multiple of 16; never derived from D / Hq for Qwen3
  int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  double rope_theta = 1e6;
  std::optional<RopeScaling> rope_scaling;
  bool tie_word_embeddings = false;
  double initializer_range = 0.02;  // only carried along
  std::optional<int32_t> bos_token_id;
  std::vector<int32_t> eos_token_id;  // may be empty; in the file's order

  int64_t q_size() const { return num_attention_heads * head_dim; }
  int64_t kv_size() const { return num_key_value_heads * head_dim; }
  int64_t qkv_size() const { return q_size() + 2 * kv_size(); }
  bool has_qkv_bias() const { return family == Family::kQwen2; }
  bool has_qk_norm() const { return family == Family::kQwen3; }
  // Weights in all, embedding counted once when tied.
  int64_t parameter_count() const;
  bool operator==(const Config&) const = default;
};

// Every hyper-parameter against its interval and against the others; the error names the field, what was allowed and
// what came. All functions below return validated configs only.
Status validate(const Config& config);

// `json` is the parsed config.json (transformers 4 or 5 style). Architectures outside the family (MoE, vision,
// others), sliding windows in use and unknown quantisation methods are errors that say so.
Result<Config> config_from_json(const JsonValue& json);
// Two facts that GGUF metadata does not hold come from the tensors: `vocab_rows`, the rows of token_embd.weight, and
// `has_output`, whether there is an output.weight (without one the head is the embedding).
Result<Config> config_from_gguf(const formats::GgufMetadata& metadata, int64_t vocab_rows, bool has_output);

// config.json as transformers 4.51 wrote it (transformers 5 reads it too). torch_dtype: "bfloat16", "float32"...
JsonValue config_to_json(const Config& config, std::string_view torch_dtype);
// The hyper-parameter keys (general.architecture and <arch>.*) of a GGUF file; tokenizer keys are not ours.
// kUsage for the one thing GGUF cannot say (rope_scaling.truncate = false).
Status config_to_gguf(const Config& config, formats::GgufMetadataBuilder* metadata);

// The family table, for `synth`, `plan` and benchmarks: "qwen3-0.6b", "qwen3-4b-2507", "qwen2.5-7b", ...
std::vector<std::string_view> named_configs();
Result<Config> named_config(std::string_view name);

}  // namespace bantam::model
