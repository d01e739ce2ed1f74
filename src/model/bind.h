// Which tensor plays which part: one table of roles with their Hugging Face and GGUF names and the shape a config
// demands. Loading, planning, converting and synthesising all walk the list that tensor_specs() makes from it.
// Pure functions; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/checkpoint.h"
#include "model/config.h"
#include "tensor/view.h"

namespace bantam::model {

enum class Role : uint8_t {
  kEmbed,      // [V, D]
  kAttnNorm,   // [D]
  kQ,          // [Hq Dh, D]
  kK,          // [Hkv Dh, D]
  kV,          // [Hkv Dh, D]
  kQBias,      // [Hq Dh]   Qwen2 only
  kKBias,      // [Hkv Dh]  Qwen2 only
  kVBias,      // [Hkv Dh]  Qwen2 only
  kQNorm,      // [Dh]      Qwen3 only
  kKNorm,      // [Dh]      Qwen3 only
  kO,          // [D, Hq Dh]
  kMlpNorm,    // [D]
  kGate,       // [F, D]
  kUp,         // [F, D]
  kDown,       // [D, F]
  kFinalNorm,  // [D]
  kLmHead,     // [V, D]    absent when tied
};

struct TensorSpec {
  Role role = Role::kEmbed;
  int64_t layer = -1;  // -1: not of a layer
  std::string hf_name, gguf_name;
  Shape shape;  // slowest first

  bool is_matrix() const { return shape.rank == 2; }
};

// Every tensor of a model, in file order: embedding, layers, final norm, and the head unless it is tied.
// Norms and biases are vectors that files keep in floats; matrices may have any weight type.
std::vector<TensorSpec> tensor_specs(const Config& config);

// A checkpoint's tensors matched with the specs: entry i belongs to specs[i].
struct Binding {
  Config config;
  std::vector<TensorSpec> specs;
  std::vector<const formats::NamedTensor*> tensors;    // never null
  std::vector<const formats::NamedTensor*> f8_scales;  // weight_scale_inv [ceil(N/128), ceil(K/128)], or null

  // Bytes of the weights as the files hold them.
  int64_t source_bytes() const;
  // The type most matrix bytes have: what people call the model's type.
  DType main_dtype() const;
};

// The hyper-parameters a checkpoint declares: config.json of a folder, metadata of a GGUF file.
Result<Config> read_config(const formats::Checkpoint& checkpoint);

// Matches names, shapes and types. Missing, unknown, misshaped or mistyped tensors are errors that name the tensor,
// what was expected and what came. Known to be harmless and ignored: rotary_emb.inv_freq buffers of old checkpoints,
// and a stored lm_head.weight when tie_word_embeddings is set (the reference ignores it too).
Result<Binding> bind(const formats::Checkpoint& checkpoint);

}  // namespace bantam::model
