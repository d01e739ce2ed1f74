// What the network computes, top to bottom. Read this file first.
//
// Legend: T tokens of the step, R rows whose logits are wanted, D hidden, Hq query heads, Hkv key-value heads,
// Dh head dimension, F ffn, V vocabulary, L layers. Everything is f32 and row-major; matrices are [out, in].
//
//   x = embed(tokens)                                                   [T, D]
//   L times:  x = x + Wo attend(rope(norm(Wq h)), rope(norm(Wk h)), Wv h)     with h = norm(x)
//             x = x + Wdown (silu(Wgate h) * Wup h)                           with h = norm(x)
//   logits = Whead norm(x[rows])                                        [R, V]
//
// Where it differs from Llama: each q and k head is RMS-normed (weight [Dh]) BEFORE the rotation; Dh is a number of
// its own, not D / Hq; small models tie the head to the embedding. Qwen2.5 is the same network with biases on q, k, v
// and without the head norms: null pointers in its weights are the only difference here.
// Sources: Qwen3 technical report (arXiv 2505.09388), section 2; transformers 5 models/qwen3/modeling_qwen3.py.
//
// A batch is a ragged list of tokens: segments say which tokens belong together and where their earlier keys lie.
// Keys and values go to the pages first and attention reads them back from there, so a token sees the same bits
// whether its context came in one step or in many. keep() hands a buffer to whoever wants it kept (saved.h).
#include "model/qwen3.h"

#include <array>
#include <cmath>

#include "base/check.h"

namespace bantam::model {
namespace {

int64_t tokens_of(const Batch& b) {
  return static_cast<int64_t>(b.tokens.size());
}

// y = x + Wo attend(rope(norm(Wq h)), cache with rope(norm(Wk h)), cache with Wv h),  h = norm(x)
TensorView attention_block(Workspace& ws, const Weights& w, const Batch& b, int64_t l, TensorView x, Saved* saved) {
  const Config& c = w.config;
  const LayerWeights& ly = w.layers[static_cast<size_t>(l)];
  const int64_t T = tokens_of(b);
  const float eps = static_cast<float>(c.rms_norm_eps);
  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(c.head_dim)));
  const ops::HeadShape heads{c.num_attention_heads, c.num_key_value_heads, c.head_dim};
  const std::array<const ops::Linear*, 3> qkv_parts{&ly.q, &ly.k, &ly.v};

  const TensorView h = keep(saved, Slot::kAttnIn, l, ws.h.first_rows(T));              // [T, D]
  const TensorView qkv = keep(saved, Slot::kQkv, l, ws.qkv.first_rows(T));             // [T, (Hq + 2 Hkv) Dh]
  const TensorView rot = keep(saved, Slot::kQkvRot, l, qkv);                           // in place when serving
  const TensorView heads_out = keep(saved, Slot::kAttnOut, l, ws.attn.first_rows(T));  // [T, Hq Dh]
  const TensorView y = keep(saved, Slot::kXMid, l, x);                                 // [T, D], in place when serving

  ops::norm_linear(ws.ctx, x, ly.attn_norm, eps, h, qkv_parts, qkv);
  ops::rope_store(ws.ctx, qkv, {ly.q_norm, ly.k_norm, eps}, heads, ws.cos_sin.first_rows(T), b.kv, l, b.segments, rot);
  ops::attention(ws.ctx, rot, heads, b.kv, l, b.segments, scale, heads_out);
  if (saved != nullptr) saved->attended(ws.ctx, l, rot, heads, b, scale);
  ops::linear_add(ws.ctx, ly.o, heads_out, x, y);
  return y;
}

// y = x + Wdown (silu(Wgate h) * Wup h),  h = norm(x)
TensorView mlp_block(Workspace& ws, const Weights& w, const Batch& b, int64_t l, TensorView x, Saved* saved) {
  const LayerWeights& ly = w.layers[static_cast<size_t>(l)];
  const int64_t T = tokens_of(b);
  const float eps = static_cast<float>(w.config.rms_norm_eps);

  const TensorView h = keep(saved, Slot::kMlpIn, l, ws.h.first_rows(T));               // [T, D]
  const TensorView gate_up = keep(saved, Slot::kGateUp, l, ws.gate_up.first_rows(T));  // [T, 2 F], gate first, or none
  const TensorView act = ws.act.first_rows(T);                                         // [T, F]
  const TensorView y = keep(saved, Slot::kXOut, l, x);                                 // [T, D], in place when serving

  ops::mlp(ws.ctx, x, ly.mlp_norm, eps, h, {ly.gate, ly.up, ly.down}, gate_up, act, x, y);
  return y;
}

}  // namespace

void forward(const Weights& w, const Batch& b, Workspace& ws, Saved* saved, TensorView logits) {
  const Config& c = w.config;
  const int64_t T = tokens_of(b), R = static_cast<int64_t>(b.logit_rows.size());
  BANTAM_CHECK(T <= ws.limits.max_tok && R <= ws.limits.max_logit_rows && b.rope != nullptr);
  BANTAM_CHECK(b.positions.size() == b.tokens.size());
  if (T == 0) return;

  TensorView x = keep(saved, Slot::kXIn, 0, ws.x.first_rows(T));  // [T, D] the residual stream
  ops::embed(ws.ctx, w.embed, b.tokens, x);
  ops::rope_table(ws.ctx, b.positions, b.rope->inv_freq, b.rope->attention_factor, ws.cos_sin.first_rows(T));
  for (int64_t l = 0; l < c.num_hidden_layers; ++l) {
    x = attention_block(ws, w, b, l, x, saved);
    x = mlp_block(ws, w, b, l, x, saved);
  }
  if (R == 0) return;

  const TensorView rows = keep(saved, Slot::kFinalIn, 0, ws.x_rows.first_rows(R));  // [R, D]; R << T when serving
  const TensorView h = ws.h.first_rows(R);                                          // [R, D]
  ops::gather_rows(ws.ctx, x, b.logit_rows, rows);
  ops::norm_linear(ws.ctx, rows, w.final_norm, static_cast<float>(c.rms_norm_eps), h, w.lm_head, logits);  // [R, V]
}

}  // namespace bantam::model
