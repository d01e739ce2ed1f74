// The rotary frequencies of one running model: computed once per requested context, read by every forward.
// Equal to what transformers computes (modeling_qwen3.py compute_default_rope_parameters, modeling_rope_utils.py
// _compute_yarn_parameters and _compute_linear_scaling_rope_parameters), and to the same bits on every CPU: only
// IEEE basic operations are used, no libm. Values; thread-safe as such.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "model/config.h"

namespace bantam::model {

struct Rope {
  std::vector<float> inv_freq;  // [Dh/2]: angle of pair i at position p is fp32(p) * inv_freq[i]
  float attention_factor = 1;   // multiplies cos and sin (YaRN's temperature)
  double yarn_factor = 1;       // how far the context is stretched; 1: not at all. For people to read
};

// What YaRN multiplies cos and sin by: given, derived from mscale, or 0.1 ln(factor) + 1.
double yarn_attention_factor(const RopeScaling& scaling);

// Positions the model takes without any stretching: max_position_embeddings, or what rope_scaling stretches it to.
int64_t native_context(const Config& config);
// The furthest context make_rope accepts: four times the trained one (the factor the model cards vouch for), never
// less than native_context().
int64_t max_context(const Config& config);

// A rope_scaling in the config is honoured as the reference does: static, whatever context is asked for. Without one,
// contexts up to native_context() are not stretched, and longer ones get YaRN with factor = context / trained
// positions (Qwen3 hybrids declare 40,960 and were trained on 32,768: their model cards' factor is context / 32,768).
// Errors: requested_context below 1 or over max_context().
Result<Rope> make_rope(const Config& config, int64_t requested_context);

}  // namespace bantam::model
