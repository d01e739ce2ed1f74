// The table of roles and the matching of a checkpoint against it.
#include "model/bind.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_set>

#include "ops/ops.h"

namespace bantam::model {
namespace {

using formats::Checkpoint;
using formats::NamedTensor;

struct RoleRow {
  Role role;
  bool per_layer;
  std::string_view hf, gguf;  // suffixes behind "model.layers.N." and "blk.N." when per_layer
};

// In the order files are written.
constexpr RoleRow kRoles[] = {
    {Role::kEmbed, false, "model.embed_tokens.weight", "token_embd.weight"},
    {Role::kAttnNorm, true, "input_layernorm.weight", "attn_norm.weight"},
    {Role::kQ, true, "self_attn.q_proj.weight", "attn_q.weight"},
    {Role::kK, true, "self_attn.k_proj.weight", "attn_k.weight"},
    {Role::kV, true, "self_attn.v_proj.weight", "attn_v.weight"},
    {Role::kQBias, true, "self_attn.q_proj.bias", "attn_q.bias"},
    {Role::kKBias, true, "self_attn.k_proj.bias", "attn_k.bias"},
    {Role::kVBias, true, "self_attn.v_proj.bias", "attn_v.bias"},
    {Role::kQNorm, true, "self_attn.q_norm.weight", "attn_q_norm.weight"},
    {Role::kKNorm, true, "self_attn.k_norm.weight", "attn_k_norm.weight"},
    {Role::kO, true, "self_attn.o_proj.weight", "attn_output.weight"},
    {Role::kMlpNorm, true, "post_attention_layernorm.weight", "ffn_norm.weight"},
    {Role::kGate, true, "mlp.gate_proj.weight", "ffn_gate.weight"},
    {Role::kUp, true, "mlp.up_proj.weight", "ffn_up.weight"},
    {Role::kDown, true, "mlp.down_proj.weight", "ffn_down.weight"},
    {Role::kFinalNorm, false, "model.norm.weight", "output_norm.weight"},
    {Role::kLmHead, false, "lm_head.weight", "output.weight"},
};
constexpr std::string_view kScaleSuffix = "_scale_inv";
constexpr int64_t kF8Block = 128;

Shape shape_of(Role role, const Config& c) {
  switch (role) {
    case Role::kEmbed:
    case Role::kLmHead:
      return {c.vocab_size, c.hidden_size};
    case Role::kAttnNorm:
    case Role::kMlpNorm:
    case Role::kFinalNorm:
      return {c.hidden_size};
    case Role::kQ:
      return {c.q_size(), c.hidden_size};
    case Role::kK:
    case Role::kV:
      return {c.kv_size(), c.hidden_size};
    case Role::kQBias:
      return {c.q_size()};
    case Role::kKBias:
    case Role::kVBias:
      return {c.kv_size()};
    case Role::kQNorm:
    case Role::kKNorm:
      return {c.head_dim};
    case Role::kO:
      return {c.hidden_size, c.q_size()};
    case Role::kGate:
    case Role::kUp:
      return {c.intermediate_size, c.hidden_size};
    case Role::kDown:
      return {c.hidden_size, c.intermediate_size};
  }
  return {};
}

bool present(Role role, const Config& c) {
  switch (role) {
    case Role::kQBias:
    case Role::kKBias:
    case Role::kVBias:
      return c.has_qkv_bias();
    case Role::kQNorm:
    case Role::kKNorm:
      return c.has_qk_norm();
    case Role::kLmHead:
      return !c.tie_word_embeddings;
    default:
      return true;
  }
}

TensorSpec make_spec(const RoleRow& row, const Config& c, int64_t layer) {
  TensorSpec spec;
  spec.role = row.role;
  spec.shape = shape_of(row.role, c);
  spec.layer = row.per_layer ? layer : -1;
  spec.hf_name = row.per_layer ? fmt::format("model.layers.{}.{}", layer, row.hf) : std::string(row.hf);
  spec.gguf_name = row.per_layer ? fmt::format("blk.{}.{}", layer, row.gguf) : std::string(row.gguf);
  return spec;
}

bool is_weight_type(const NamedTensor& t, bool matrix) {
  const DTypeInfo& type = info(t.view.dtype);
  if (!matrix) return t.view.dtype == DType::kF32 || t.view.dtype == DType::kF16 || t.view.dtype == DType::kBF16;
  return (type.is_float || type.is_quant) && kernels::packable(t.view.dtype, t.view.shape.last());
}

Status check_tensor(const TensorSpec& spec, const NamedTensor& t) {
  if (!(t.view.shape == spec.shape)) {
    return bad_input("tensor {}: expected shape {}, got {} ({})", t.name, spec.shape.to_string(),
                     t.view.shape.to_string(), t.where());
  }
  if (!is_weight_type(t, spec.is_matrix())) {
    return bad_input("tensor {}: expected {}, got {} ({})", t.name,
                     spec.is_matrix() ? "a weight type that fits its rows" : "f32, f16 or bf16", name(t.view.dtype),
                     t.where());
  }
  return {};
}

Status check_f8_scales(const TensorSpec& spec, const NamedTensor& scales) {
  const Shape expected{(spec.shape[0] + kF8Block - 1) / kF8Block, (spec.shape[1] + kF8Block - 1) / kF8Block};
  const bool is_float = scales.view.dtype == DType::kF32 || scales.view.dtype == DType::kBF16;
  if (scales.view.shape == expected && is_float) return {};
  return bad_input("tensor {}: expected {} in f32 or bf16, got {} in {} ({})", scales.name, expected.to_string(),
                   scales.view.shape.to_string(), name(scales.view.dtype), scales.where());
}

bool ends_with(std::string_view text, std::string_view tail) {
  return text.size() >= tail.size() && text.substr(text.size() - tail.size()) == tail;
}
bool is_harmless(std::string_view tensor_name, const Config& c) {
  return ends_with(tensor_name, "rotary_emb.inv_freq") || (c.tie_word_embeddings && tensor_name == "lm_head.weight");
}

}  // namespace

std::vector<TensorSpec> tensor_specs(const Config& c) {
  std::vector<TensorSpec> specs;
  const auto layer_begin = std::find_if(std::begin(kRoles), std::end(kRoles), [](auto& r) { return r.per_layer; });
  const auto layer_end = std::find_if(layer_begin, std::end(kRoles), [](auto& r) { return !r.per_layer; });
  const auto append = [&](const RoleRow* begin, const RoleRow* end, int64_t layer) {
    for (const RoleRow* row = begin; row != end; ++row) {
      if (present(row->role, c)) specs.push_back(make_spec(*row, c, layer));
    }
  };
  append(std::begin(kRoles), layer_begin, -1);
  for (int64_t layer = 0; layer < c.num_hidden_layers; ++layer) append(layer_begin, layer_end, layer);
  append(layer_end, std::end(kRoles), -1);
  return specs;
}

int64_t Binding::source_bytes() const {
  int64_t bytes = 0;
  for (const NamedTensor* t : tensors) bytes += t->view.bytes();
  for (const NamedTensor* s : f8_scales) bytes += s == nullptr ? 0 : s->view.bytes();
  return bytes;
}

DType Binding::main_dtype() const {
  std::array<int64_t, kDTypeCount> bytes{};
  for (const NamedTensor* t : tensors) {
    if (t->view.shape.rank == 2) bytes[static_cast<size_t>(t->view.dtype)] += t->view.bytes();
  }
  return static_cast<DType>(std::max_element(bytes.begin(), bytes.end()) - bytes.begin());
}

Result<Config> read_config(const Checkpoint& checkpoint) {
  if (const formats::GgufMetadata* metadata = checkpoint.gguf(); metadata != nullptr) {
    const NamedTensor* embed = checkpoint.find("token_embd.weight");
    if (embed == nullptr || embed->view.shape.rank != 2) {
      return bad_input("{}: tensor token_embd.weight: expected a matrix, {}", checkpoint.path(),
                       embed == nullptr ? "found none" : "got " + embed->view.shape.to_string());
    }
    return config_from_gguf(*metadata, embed->view.shape[0], checkpoint.find("output.weight") != nullptr);
  }
  if (checkpoint.config() == nullptr) {
    return bad_input("{}: expected a config.json beside the weights, found none", checkpoint.path());
  }
  return config_from_json(*checkpoint.config());
}

Result<Binding> bind(const Checkpoint& checkpoint) {
  Binding b;
  BANTAM_TRY_ASSIGN(b.config, read_config(checkpoint));
  const bool gguf = checkpoint.kind() == formats::Kind::kGguf;
  // A config may promise far more layers than the file has tensors; nothing is built for it before this.
  if (checkpoint.tensors().size() < static_cast<size_t>(b.config.num_hidden_layers)) {
    return bad_input("{}: expected tensors of {} layers, got {} tensors in all", checkpoint.path(),
                     b.config.num_hidden_layers, checkpoint.tensors().size());
  }
  b.specs = tensor_specs(b.config);
  std::unordered_set<const NamedTensor*> used;
  for (const TensorSpec& spec : b.specs) {
    const std::string& tensor_name = gguf ? spec.gguf_name : spec.hf_name;
    const NamedTensor* t = checkpoint.find(tensor_name);
    if (t == nullptr) {
      return bad_input("{}: expected tensor {} of shape {}, found none of that name", checkpoint.path(), tensor_name,
                       spec.shape.to_string());
    }
    BANTAM_TRY(check_tensor(spec, *t));
    used.insert(t);
    const NamedTensor* scales = spec.is_matrix() ? checkpoint.find(tensor_name + std::string(kScaleSuffix)) : nullptr;
    if (scales != nullptr) {
      if (t->view.dtype != DType::kF8E4M3) {
        return bad_input("tensor {}: expected only beside f8_e4m3 weights, but {} is {}", scales->name, t->name,
                         name(t->view.dtype));
      }
      BANTAM_TRY(check_f8_scales(spec, *scales));
      used.insert(scales);
    }
    b.tensors.push_back(t);
    b.f8_scales.push_back(scales);
  }
  for (const NamedTensor& t : checkpoint.tensors()) {
    if (used.count(&t) != 0 || is_harmless(t.name, b.config)) continue;
    return bad_input("{}: tensor {} of shape {} has no place in a {} model ({})", checkpoint.path(), t.name,
                     t.view.shape.to_string(), family_name(b.config.family), t.where());
  }
  return b;
}

}  // namespace bantam::model
