// Validation of hyper-parameters, and config.json in both directions. GGUF metadata: config_gguf.cpp; the family's
// own rows: config_table.cpp.
#include "model/config.h"

#include <utility>

namespace bantam::model {
namespace {

// What the reference assumes when config.json does not say (transformers 5: configuration_qwen3.py, PreTrainedConfig).
constexpr double kDefaultTheta = 10000.0;
constexpr int64_t kDefaultQwen3HeadDim = 128;
constexpr int64_t kDefaultMaxPositions = 32768;
// sin and cos of the kernels hold for angles below 2^20, and the fastest pair turns one radian per position.
constexpr int64_t kMaxPositions = int64_t{1} << 20;
constexpr int64_t kMaxGroup = 128;  // query heads per key-value head: one block of attention rows

Status check_int(std::string_view field, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return {};
  return bad_input("config: {}: expected {} to {}, got {}", field, low, high, value);
}
Status check_real(std::string_view field, double value, double low, double high) {
  if (value >= low && value <= high) return {};  // false for NaN too
  return bad_input("config: {}: expected {} to {}, got {}", field, low, high, value);
}

Status validate_scaling(const RopeScaling& s) {
  BANTAM_TRY(check_real("rope_scaling.factor", s.factor, 1.0, 1024.0));
  if (s.type == RopeScaling::Type::kLinear) return {};
  BANTAM_TRY(
      check_int("rope_scaling.original_max_position_embeddings", s.original_max_position_embeddings, 1, kMaxPositions));
  BANTAM_TRY(check_real("rope_scaling.beta_fast", s.beta_fast, 1e-3, 1e6));
  BANTAM_TRY(check_real("rope_scaling.beta_slow", s.beta_slow, 1e-3, 1e6));
  BANTAM_TRY(check_real("rope_scaling.attention_factor", s.attention_factor.value_or(1), 1e-3, 1e3));
  BANTAM_TRY(check_real("rope_scaling.mscale", s.mscale.value_or(1), 0, 1e3));
  return check_real("rope_scaling.mscale_all_dim", s.mscale_all_dim.value_or(1), 0, 1e3);
}

// Member `key` when present and not null.
const JsonValue* member(const JsonValue& json, std::string_view key) {
  const JsonValue* v = json.find(key);
  return v == nullptr || v->is_null() ? nullptr : v;
}

Status read_int(const JsonValue& json, std::string_view key, std::optional<int64_t> fallback, int64_t* out) {
  const JsonValue* v = member(json, key);
  if (v == nullptr) {
    if (!fallback) return bad_input("config.json: {}: expected an integer, but the field is missing", key);
    *out = *fallback;
    return {};
  }
  if (!v->is_number() || !v->is_integer()) {
    return bad_input("config.json: {}: expected an integer, got {}", key, to_json(*v).substr(0, 80));
  }
  BANTAM_TRY_ASSIGN(*out, v->as_int64());
  return {};
}

Status read_real(const JsonValue& json, std::string_view key, double fallback, double* out) {
  const JsonValue* v = member(json, key);
  if (v == nullptr) {
    *out = fallback;
    return {};
  }
  if (!v->is_number()) return bad_input("config.json: {}: expected a number, got {}", key, to_json(*v).substr(0, 80));
  BANTAM_TRY_ASSIGN(*out, v->as_double());
  return {};
}

Status read_optional_real(const JsonValue& json, std::string_view key, std::optional<double>* out) {
  if (member(json, key) == nullptr) return {};
  double value = 0;
  BANTAM_TRY(read_real(json, key, 0, &value));
  *out = value;
  return {};
}

Status read_bool(const JsonValue& json, std::string_view key, bool fallback, bool* out) {
  const JsonValue* v = member(json, key);
  *out = fallback;
  if (v == nullptr) return {};
  if (!v->is_bool())
    return bad_input("config.json: {}: expected true or false, got {}", key, to_json(*v).substr(0, 80));
  *out = v->as_bool();
  return {};
}

Result<Family> read_family(const JsonValue& json) {
  std::string found;
  if (const JsonValue* list = member(json, "architectures"); list != nullptr) {
    if (!list->is_array() || list->items().empty() || !list->items()[0].is_string()) {
      return bad_input("config.json: architectures: expected a list of names, got {}", to_json(*list).substr(0, 80));
    }
    found = list->items()[0].as_string();
  } else if (const JsonValue* type = member(json, "model_type"); type != nullptr && type->is_string()) {
    found = type->as_string();
  } else {
    return bad_input("config.json: expected architectures or model_type, found neither");
  }
  if (found == "Qwen3ForCausalLM" || found == "qwen3") return Family::kQwen3;
  if (found == "Qwen2ForCausalLM" || found == "qwen2") return Family::kQwen2;
  std::string_view why = "it is another architecture";
  if (found.find("Moe") != std::string::npos || found.find("moe") != std::string::npos) {
    why = "mixture-of-experts models are not supported";
  } else if (found.find("VL") != std::string::npos || found.find("Omni") != std::string::npos) {
    why = "vision and audio models are not supported";
  }
  return bad_input("config.json: expected Qwen3ForCausalLM or Qwen2ForCausalLM, got {}: {}", found.substr(0, 80), why);
}

// The reference slides only layers from max_window_layers on, and only when use_sliding_window is set.
Status refuse_sliding_window(const JsonValue& json, int64_t layers) {
  bool used = false;
  int64_t first = 28;
  BANTAM_TRY(read_bool(json, "use_sliding_window", false, &used));
  BANTAM_TRY(read_int(json, "max_window_layers", first, &first));
  if (const JsonValue* types = member(json, "layer_types"); types != nullptr && types->is_array()) {
    for (const JsonValue& type : types->items()) {
      if (type.is_string() && type.as_string() == "full_attention") continue;
      return bad_input(
          "config.json: layer_types: expected only \"full_attention\", got {}: sliding windows and other "
          "layer kinds are not supported",
          to_json(type).substr(0, 80));
    }
    return {};
  }
  if (used && member(json, "sliding_window") != nullptr && first < layers) {
    return bad_input(
        "config.json: use_sliding_window is true from layer {} of {} on: sliding windows are not supported", first,
        layers);
  }
  return {};
}

Status refuse_unsupported(const JsonValue& json) {
  if (const JsonValue* act = member(json, "hidden_act"); act != nullptr) {
    if (!act->is_string() || act->as_string() != "silu") {
      return bad_input("config.json: hidden_act: expected \"silu\", got {}", to_json(*act).substr(0, 80));
    }
  }
  bool bias = false;
  BANTAM_TRY(read_bool(json, "attention_bias", false, &bias));
  if (bias) return bad_input("config.json: attention_bias: expected false, got true: no released Qwen3 has it");
  double partial = 1;
  BANTAM_TRY(read_real(json, "partial_rotary_factor", 1, &partial));
  if (partial != 1) return bad_input("config.json: partial_rotary_factor: expected 1, got {}", partial);
  if (const JsonValue* quant = member(json, "quantization_config"); quant != nullptr) {
    const JsonValue* method = quant->find("quant_method");
    if (method == nullptr || !method->is_string() || method->as_string() != "fp8") {
      return bad_input("config.json: quantization_config.quant_method: expected \"fp8\" (128 x 128 blocks), got {}",
                       method == nullptr ? "nothing" : to_json(*method).substr(0, 80));
    }
  }
  return {};
}

// transformers 4 keeps rope_theta beside rope_scaling, transformers 5 keeps both in rope_parameters; the nested theta
// wins, as in the reference (RotaryEmbeddingConfigMixin).
Status read_rope(const JsonValue& json, Config* c) {
  const JsonValue* rope = member(json, "rope_scaling");
  if (rope == nullptr || (rope->is_object() && rope->members().empty())) rope = member(json, "rope_parameters");
  BANTAM_TRY(read_real(json, "rope_theta", kDefaultTheta, &c->rope_theta));
  if (rope == nullptr) return {};
  if (!rope->is_object()) return bad_input("config.json: rope_scaling: expected an object, got {}", rope->kind_name());
  BANTAM_TRY(read_real(*rope, "rope_theta", c->rope_theta, &c->rope_theta));
  double partial = 1;
  BANTAM_TRY(read_real(*rope, "partial_rotary_factor", 1, &partial));
  if (partial != 1) return bad_input("config.json: partial_rotary_factor: expected 1, got {}", partial);
  const JsonValue* type = member(*rope, "rope_type");
  if (type == nullptr) type = member(*rope, "type");
  if (type == nullptr || (type->is_string() && type->as_string() == "default")) return {};

  RopeScaling s;
  if (type->is_string() && type->as_string() == "linear") {
    s.type = RopeScaling::Type::kLinear;
  } else if (!type->is_string() || type->as_string() != "yarn") {
    return bad_input("config.json: rope_scaling.rope_type: expected default, linear or yarn, got {}",
                     to_json(*type).substr(0, 80));
  }
  BANTAM_TRY(read_int(*rope, "original_max_position_embeddings", c->max_position_embeddings,
                      &s.original_max_position_embeddings));
  BANTAM_TRY(read_int(json, "original_max_position_embeddings", s.original_max_position_embeddings,
                      &s.original_max_position_embeddings));
  BANTAM_TRY(
      check_int("rope_scaling.original_max_position_embeddings", s.original_max_position_embeddings, 1, kMaxPositions));
  const double implied =
      static_cast<double>(c->max_position_embeddings) / static_cast<double>(s.original_max_position_embeddings);
  BANTAM_TRY(read_real(*rope, "factor", implied, &s.factor));
  BANTAM_TRY(read_real(*rope, "beta_fast", s.beta_fast, &s.beta_fast));
  BANTAM_TRY(read_real(*rope, "beta_slow", s.beta_slow, &s.beta_slow));
  if (s.beta_fast == 0) s.beta_fast = 32;  // the reference writes `get("beta_fast") or 32`
  if (s.beta_slow == 0) s.beta_slow = 1;
  BANTAM_TRY(read_optional_real(*rope, "attention_factor", &s.attention_factor));
  BANTAM_TRY(read_optional_real(*rope, "mscale", &s.mscale));
  BANTAM_TRY(read_optional_real(*rope, "mscale_all_dim", &s.mscale_all_dim));
  BANTAM_TRY(read_bool(*rope, "truncate", true, &s.truncate));
  c->rope_scaling = s;
  return {};
}

// Ids past the vocabulary can never be sampled, and checkpoints cut down from bigger ones carry them: they are
// dropped, not refused.
Status read_token_id(const JsonValue& value, std::string_view key, int64_t vocab, std::vector<int32_t>* out) {
  if (!value.is_number() || !value.is_integer()) {
    return bad_input("config.json: {}: expected token ids, got {}", key, to_json(value).substr(0, 80));
  }
  BANTAM_TRY_ASSIGN(const int64_t id, value.as_int64());
  BANTAM_TRY(check_int(key, id, 0, INT32_MAX));
  if (id < vocab) out->push_back(static_cast<int32_t>(id));
  return {};
}

Status read_token_ids(const JsonValue& json, std::string_view key, int64_t vocab, std::vector<int32_t>* out) {
  const JsonValue* v = member(json, key);
  if (v == nullptr) return {};
  if (!v->is_array()) return read_token_id(*v, key, vocab, out);
  for (const JsonValue& item : v->items()) BANTAM_TRY(read_token_id(item, key, vocab, out));
  return {};
}

JsonValue real(double value) {
  std::string text = json_number(value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return JsonValue::number(std::move(text));
}

JsonValue scaling_to_json(const RopeScaling& s) {
  JsonValue j = JsonValue::object();
  const bool yarn = s.type == RopeScaling::Type::kYarn;
  j.set("rope_type", JsonValue::string(yarn ? "yarn" : "linear"));
  j.set("factor", real(s.factor));
  if (!yarn) return j;
  j.set("original_max_position_embeddings", JsonValue::number(s.original_max_position_embeddings));
  if (s.beta_fast != 32) j.set("beta_fast", real(s.beta_fast));
  if (s.beta_slow != 1) j.set("beta_slow", real(s.beta_slow));
  if (s.attention_factor) j.set("attention_factor", real(*s.attention_factor));
  if (s.mscale) j.set("mscale", real(*s.mscale));
  if (s.mscale_all_dim) j.set("mscale_all_dim", real(*s.mscale_all_dim));
  if (!s.truncate) j.set("truncate", JsonValue::boolean(false));
  return j;
}

}  // namespace

std::string_view family_name(Family family) {
  return family == Family::kQwen3 ? "qwen3" : "qwen2";
}

int64_t Config::parameter_count() const {
  const int64_t attention = hidden_size * (2 * q_size() + 2 * kv_size());
  const int64_t small = 2 * hidden_size + (has_qk_norm() ? 2 * head_dim : 0) + (has_qkv_bias() ? qkv_size() : 0);
  const int64_t layer = attention + 3 * hidden_size * intermediate_size + small;
  return num_hidden_layers * layer + hidden_size + (tie_word_embeddings ? 1 : 2) * vocab_size * hidden_size;
}

Status validate(const Config& c) {
  BANTAM_TRY(check_int("vocab_size", c.vocab_size, 1, int64_t{1} << 22));
  BANTAM_TRY(check_int("hidden_size", c.hidden_size, 1, int64_t{1} << 16));
  BANTAM_TRY(check_int("intermediate_size", c.intermediate_size, 1, int64_t{1} << 20));
  BANTAM_TRY(check_int("num_hidden_layers", c.num_hidden_layers, 1, 512));
  BANTAM_TRY(check_int("num_attention_heads", c.num_attention_heads, 1, 1024));
  BANTAM_TRY(check_int("num_key_value_heads", c.num_key_value_heads, 1, c.num_attention_heads));
  if (c.num_attention_heads % c.num_key_value_heads != 0) {
    return bad_input("config: num_key_value_heads: expected a divisor of num_attention_heads = {}, got {}",
                     c.num_attention_heads, c.num_key_value_heads);
  }
  BANTAM_TRY(check_int("num_attention_heads / num_key_value_heads", c.num_attention_heads / c.num_key_value_heads, 1,
                       kMaxGroup));
  BANTAM_TRY(check_int("head_dim", c.head_dim, 16, 256));
  if (c.head_dim % 16 != 0) return bad_input("config: head_dim: expected a multiple of 16, got {}", c.head_dim);
  BANTAM_TRY(check_int("max_position_embeddings", c.max_position_embeddings, 1, kMaxPositions));
  BANTAM_TRY(check_real("rms_norm_eps", c.rms_norm_eps, 1e-12, 0.1));
  BANTAM_TRY(check_real("rope_theta", c.rope_theta, 1.0001, 1e12));
  BANTAM_TRY(check_real("initializer_range", c.initializer_range, 0, 1e3));
  if (c.bos_token_id) BANTAM_TRY(check_int("bos_token_id", *c.bos_token_id, 0, c.vocab_size - 1));
  for (const int32_t id : c.eos_token_id) BANTAM_TRY(check_int("eos_token_id", id, 0, c.vocab_size - 1));
  return c.rope_scaling ? validate_scaling(*c.rope_scaling) : Status();
}

Result<Config> config_from_json(const JsonValue& json) {
  if (!json.is_object()) return bad_input("config.json: expected an object, got {}", json.kind_name());
  Config c;
  BANTAM_TRY_ASSIGN(c.family, read_family(json));
  BANTAM_TRY(refuse_unsupported(json));
  BANTAM_TRY(read_int(json, "vocab_size", {}, &c.vocab_size));
  BANTAM_TRY(read_int(json, "hidden_size", {}, &c.hidden_size));
  BANTAM_TRY(read_int(json, "intermediate_size", {}, &c.intermediate_size));
  BANTAM_TRY(read_int(json, "num_hidden_layers", {}, &c.num_hidden_layers));
  BANTAM_TRY(read_int(json, "num_attention_heads", {}, &c.num_attention_heads));
  BANTAM_TRY(read_int(json, "num_key_value_heads", c.num_attention_heads, &c.num_key_value_heads));
  BANTAM_TRY(check_int("hidden_size", c.hidden_size, 1, int64_t{1} << 16));
  BANTAM_TRY(check_int("num_attention_heads", c.num_attention_heads, 1, 1024));
  const int64_t derived = c.family == Family::kQwen3 ? kDefaultQwen3HeadDim : c.hidden_size / c.num_attention_heads;
  BANTAM_TRY(read_int(json, "head_dim", derived, &c.head_dim));
  BANTAM_TRY(read_int(json, "max_position_embeddings", kDefaultMaxPositions, &c.max_position_embeddings));
  BANTAM_TRY(check_int("max_position_embeddings", c.max_position_embeddings, 1, kMaxPositions));
  BANTAM_TRY(read_real(json, "rms_norm_eps", 1e-6, &c.rms_norm_eps));
  BANTAM_TRY(read_real(json, "initializer_range", 0.02, &c.initializer_range));
  BANTAM_TRY(read_bool(json, "tie_word_embeddings", false, &c.tie_word_embeddings));
  BANTAM_TRY(read_rope(json, &c));
  BANTAM_TRY(refuse_sliding_window(json, c.num_hidden_layers));
  std::vector<int32_t> bos;
  BANTAM_TRY(read_token_ids(json, "bos_token_id", c.vocab_size, &bos));
  if (!bos.empty()) c.bos_token_id = bos[0];
  BANTAM_TRY(read_token_ids(json, "eos_token_id", c.vocab_size, &c.eos_token_id));
  BANTAM_TRY(validate(c));
  return c;
}

JsonValue config_to_json(const Config& c, std::string_view torch_dtype) {
  const bool qwen3 = c.family == Family::kQwen3;
  JsonValue j = JsonValue::object();
  j.set("architectures", JsonValue::array({JsonValue::string(qwen3 ? "Qwen3ForCausalLM" : "Qwen2ForCausalLM")}));
  if (qwen3) j.set("attention_bias", JsonValue::boolean(false));
  j.set("attention_dropout", real(0));
  if (c.bos_token_id) j.set("bos_token_id", JsonValue::number(int64_t{*c.bos_token_id}));
  if (c.eos_token_id.size() == 1) j.set("eos_token_id", JsonValue::number(int64_t{c.eos_token_id[0]}));
  if (c.eos_token_id.size() > 1) {
    std::vector<JsonValue> ids;
    for (const int32_t id : c.eos_token_id) ids.push_back(JsonValue::number(int64_t{id}));
    j.set("eos_token_id", JsonValue::array(std::move(ids)));
  }
  const std::pair<std::string_view, int64_t> sizes[] = {
      {"hidden_size", c.hidden_size},
      {"intermediate_size", c.intermediate_size},
      {"max_position_embeddings", c.max_position_embeddings},
      {"max_window_layers", c.num_hidden_layers},
      {"num_attention_heads", c.num_attention_heads},
      {"num_hidden_layers", c.num_hidden_layers},
      {"num_key_value_heads", c.num_key_value_heads},
      {"vocab_size", c.vocab_size},
  };
  // A Qwen2 head size that is not D / Hq must be said; the usual one is left to the reference's own default.
  if (qwen3 || c.head_dim * c.num_attention_heads != c.hidden_size) j.set("head_dim", JsonValue::number(c.head_dim));
  j.set("hidden_act", JsonValue::string("silu"));
  for (const auto& [key, value] : sizes) j.set(key, JsonValue::number(value));
  j.set("initializer_range", real(c.initializer_range));
  j.set("model_type", JsonValue::string(std::string(family_name(c.family))));
  j.set("rms_norm_eps", real(c.rms_norm_eps));
  j.set("rope_scaling", c.rope_scaling ? scaling_to_json(*c.rope_scaling) : JsonValue());
  j.set("rope_theta", real(c.rope_theta));
  j.set("sliding_window", JsonValue());
  j.set("tie_word_embeddings", JsonValue::boolean(c.tie_word_embeddings));
  j.set("torch_dtype", JsonValue::string(std::string(torch_dtype)));
  j.set("use_cache", JsonValue::boolean(true));
  j.set("use_sliding_window", JsonValue::boolean(false));
  return j;
}

}  // namespace bantam::model
