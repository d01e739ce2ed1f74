// Config <-> GGUF metadata. Key names: gguf-py constants.py; what they mean for this family: llama.cpp's loaders of
// the qwen2 and qwen3 architectures (absent key_length means D / Hq there, absent head_count_kv means Hq).
#include <cstdlib>

#include "formats/gguf_metadata.h"
#include "formats/gguf_writer.h"
#include "model/config.h"
#include "model/rope.h"

namespace bantam::model {
namespace {

// Reads "<arch>.<suffix>".
class Keys {
 public:
  Keys(const formats::GgufMetadata& metadata, std::string_view arch) : metadata_(metadata), arch_(arch) {}
  std::string key(std::string_view suffix) const { return fmt::format("{}.{}", arch_, suffix); }
  bool has(std::string_view suffix) const { return metadata_.has(key(suffix)); }

  Status integer(std::string_view suffix, std::optional<int64_t> fallback, int64_t* out) const {
    if (fallback && !has(suffix)) {
      *out = *fallback;
      return {};
    }
    BANTAM_TRY_ASSIGN(*out, metadata_.integer(key(suffix)));
    return {};
  }
  // GGUF stores these as f32: the shortest decimal that names the float is what its author wrote (1e-06, not
  // 9.99999997e-07), and it is the same float when narrowed again.
  Status real(std::string_view suffix, std::optional<double> fallback, double* out) const {
    if (fallback && !has(suffix)) {
      *out = *fallback;
      return {};
    }
    BANTAM_TRY_ASSIGN(const double value, metadata_.number(key(suffix)));
    const float narrow = static_cast<float>(value);
    *out = static_cast<double>(narrow) == value ? std::strtod(fmt::format("{}", narrow).c_str(), nullptr) : value;
    return {};
  }
  Result<std::string_view> string(std::string_view suffix) const { return metadata_.string(key(suffix)); }

 private:
  const formats::GgufMetadata& metadata_;
  std::string_view arch_;
};

Status read_scaling(const Keys& keys, Config* c) {
  double linear = 1;
  BANTAM_TRY(keys.real("rope.scale_linear", 1, &linear));
  RopeScaling s;
  if (keys.has("rope.scaling.type")) {
    BANTAM_TRY_ASSIGN(const std::string_view type, keys.string("rope.scaling.type"));
    if (type == "none") return {};
    if (type != "linear" && type != "yarn") {
      return bad_input("gguf: {}: expected none, linear or yarn, got {}", keys.key("rope.scaling.type"),
                       type.substr(0, 80));
    }
    s.type = type == "yarn" ? RopeScaling::Type::kYarn : RopeScaling::Type::kLinear;
  } else if (linear != 1) {
    s.type = RopeScaling::Type::kLinear;
  } else {
    return {};
  }
  BANTAM_TRY(keys.real("rope.scaling.factor", linear, &s.factor));
  BANTAM_TRY(keys.integer("rope.scaling.original_context_length", c->max_position_embeddings,
                          &s.original_max_position_embeddings));
  BANTAM_TRY(keys.real("rope.scaling.yarn_beta_fast", 32, &s.beta_fast));
  BANTAM_TRY(keys.real("rope.scaling.yarn_beta_slow", 1, &s.beta_slow));
  // llama.cpp multiplies its own 0.1 ln(factor) + 1 by this; 1 says nothing.
  double extra = 1;
  BANTAM_TRY(keys.real("rope.scaling.attn_factor", 1, &extra));
  if (extra != 1) s.attention_factor = extra * yarn_attention_factor(s);
  c->rope_scaling = s;
  return {};
}

Status read_special_ids(const formats::GgufMetadata& metadata, Config* c) {
  for (const std::string_view key : {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id"}) {
    if (!metadata.has(key)) continue;
    BANTAM_TRY_ASSIGN(const int64_t id, metadata.integer(key));
    if (id < 0 || id >= c->vocab_size) {
      return bad_input("gguf: {}: expected a token id below {}, got {}", key, c->vocab_size, id);
    }
    if (key == "tokenizer.ggml.bos_token_id") {
      c->bos_token_id = static_cast<int32_t>(id);
    } else {
      c->eos_token_id = {static_cast<int32_t>(id)};
    }
  }
  return {};
}

}  // namespace

Result<Config> config_from_gguf(const formats::GgufMetadata& metadata, int64_t vocab_rows, bool has_output) {
  BANTAM_TRY_ASSIGN(const std::string_view arch, metadata.string("general.architecture"));
  Config c;
  if (arch == "qwen3" || arch == "qwen2") {
    c.family = arch == "qwen3" ? Family::kQwen3 : Family::kQwen2;
  } else {
    const bool moe = arch.find("moe") != std::string_view::npos;
    return bad_input("gguf: general.architecture: expected qwen3 or qwen2, got {}: {}", arch.substr(0, 80),
                     moe ? "mixture-of-experts models are not supported" : "it is another architecture");
  }
  const Keys keys(metadata, arch);
  c.vocab_size = vocab_rows;
  c.tie_word_embeddings = !has_output;
  BANTAM_TRY(keys.integer("embedding_length", {}, &c.hidden_size));
  BANTAM_TRY(keys.integer("feed_forward_length", {}, &c.intermediate_size));
  BANTAM_TRY(keys.integer("block_count", {}, &c.num_hidden_layers));
  BANTAM_TRY(keys.integer("attention.head_count", {}, &c.num_attention_heads));
  BANTAM_TRY(keys.integer("attention.head_count_kv", c.num_attention_heads, &c.num_key_value_heads));
  if (c.num_attention_heads < 1) {
    return bad_input("gguf: {}: expected at least 1, got {}", keys.key("attention.head_count"), c.num_attention_heads);
  }
  int64_t value_dim = 0, rotated = 0;
  BANTAM_TRY(keys.integer("attention.key_length", c.hidden_size / c.num_attention_heads, &c.head_dim));
  BANTAM_TRY(keys.integer("attention.value_length", c.head_dim, &value_dim));
  BANTAM_TRY(keys.integer("rope.dimension_count", c.head_dim, &rotated));
  if (value_dim != c.head_dim || rotated != c.head_dim) {
    return bad_input("gguf: {}: expected value_length and rope.dimension_count to equal key_length = {}, got {} and {}",
                     keys.key("attention"), c.head_dim, value_dim, rotated);
  }
  BANTAM_TRY(keys.integer("context_length", {}, &c.max_position_embeddings));
  BANTAM_TRY(keys.real("attention.layer_norm_rms_epsilon", {}, &c.rms_norm_eps));
  BANTAM_TRY(keys.real("rope.freq_base", 10000, &c.rope_theta));
  BANTAM_TRY(read_scaling(keys, &c));
  BANTAM_TRY(read_special_ids(metadata, &c));
  BANTAM_TRY(validate(c));
  return c;
}

Status config_to_gguf(const Config& c, formats::GgufMetadataBuilder* metadata) {
  const std::string_view arch = family_name(c.family);
  const auto key = [&](std::string_view suffix) { return fmt::format("{}.{}", arch, suffix); };
  const auto set_u32 = [&](std::string_view suffix, int64_t v) {
    metadata->set_u32(key(suffix), static_cast<uint32_t>(v));
  };
  const auto set_f32 = [&](std::string_view suffix, double v) {
    metadata->set_f32(key(suffix), static_cast<float>(v));
  };
  metadata->set_string("general.architecture", arch);
  set_u32("block_count", c.num_hidden_layers);
  set_u32("context_length", c.max_position_embeddings);
  set_u32("embedding_length", c.hidden_size);
  set_u32("feed_forward_length", c.intermediate_size);
  set_u32("attention.head_count", c.num_attention_heads);
  set_u32("attention.head_count_kv", c.num_key_value_heads);
  set_u32("attention.key_length", c.head_dim);
  set_u32("attention.value_length", c.head_dim);
  set_f32("attention.layer_norm_rms_epsilon", c.rms_norm_eps);
  set_f32("rope.freq_base", c.rope_theta);
  if (!c.rope_scaling) return {};
  const RopeScaling& s = *c.rope_scaling;
  const bool yarn = s.type == RopeScaling::Type::kYarn;
  metadata->set_string(key("rope.scaling.type"), yarn ? "yarn" : "linear");
  set_f32("rope.scaling.factor", s.factor);
  if (!yarn) return {};
  if (!s.truncate) {
    return usage_error("gguf has no key for rope_scaling.truncate = false: expected true, which every release uses");
  }
  set_u32("rope.scaling.original_context_length", s.original_max_position_embeddings);
  if (s.beta_fast != 32) set_f32("rope.scaling.yarn_beta_fast", s.beta_fast);
  if (s.beta_slow != 1) set_f32("rope.scaling.yarn_beta_slow", s.beta_slow);
  RopeScaling plain = s;
  plain.attention_factor.reset();
  plain.mscale.reset();
  const double extra = yarn_attention_factor(s) / yarn_attention_factor(plain);
  if (extra != 1) set_f32("rope.scaling.attn_factor", extra);
  return {};
}

}  // namespace bantam::model
