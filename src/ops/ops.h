// Everything the model computes, one function per op: shape checks, dispatch to the kernel table, threading. The one
// door to the kernels: their plain data (PackedMatrix, KvView, Segment, Table) comes with this header.
// Legend: T tokens, D hidden, Hq Hkv Dh heads, F ffn, V vocab, R logit rows. All activations are f32, row-major.
// Ops return void; wrong shapes are our own bugs and meet BANTAM_CHECK. One Context per running model; not
// thread-safe (the pool inside is what runs in parallel). Every output element has one fixed reduction order: results
// do not depend on T, on threads, on chunking or on the table.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/thread_pool.h"
#include "kernels/kv_layout.h"
#include "kernels/packed.h"
#include "kernels/table.h"
#include "tensor/view.h"

namespace bantam::ops {

// fast: activations as int8 per block of 32 for quantised weights; exact: fp32 activations, weights dequantised.
enum class Numerics : uint8_t { kFast, kExact };

struct Context {
  const kernels::Table* table = nullptr;
  ThreadPool* pool = nullptr;
  Numerics numerics = Numerics::kFast;
  // Scratch for quantised activations, per-thread panels and split attention; see scratch_bytes().
  std::byte* scratch = nullptr;
  int64_t scratch_bytes = 0;
};

struct HeadShape {
  int64_t q_heads, kv_heads, head_dim;
};

// A linear layer y = x W^T (+ bias). The matrix is packed (kernels/packed.h); views never own.
struct Linear {
  kernels::PackedMatrix weight;  // [N, K]
  const float* bias = nullptr;   // [N] or null
};

// Bytes of Context::scratch that suffice for any call with at most max_tok tokens, inner dimensions up to max_k,
// these heads and contexts up to max_pos tokens on `threads` threads.
int64_t scratch_bytes(int64_t max_tok, int64_t max_k, int64_t max_n, HeadShape heads, int64_t max_pos, int threads);

// x[t] = row tokens[t] of the embedding matrix, dequantised. embedding [V, D] packed; x [T, D].
// REQUIRES: 0 <= tokens[t] < V (callers validate ids).
void embed(Context& ctx, const kernels::PackedMatrix& embedding, std::span<const int32_t> tokens, TensorView x);

// out = x / sqrt(mean(x^2) + eps) * w, per row. x [T, D], w [D], out [T, D] (may alias x).
void rms_norm(Context& ctx, TensorView x, const float* w, float eps, TensorView out);

// out[:, part columns] = x W_p^T + b_p for every part, side by side; activations are quantised once for all parts.
// x [T, K]; parts p with [N_p, K]; out [T, sum N_p].
void linear(Context& ctx, std::span<const Linear* const> parts, TensorView x, TensorView out);
inline void linear(Context& ctx, const Linear& w, TensorView x, TensorView out) {
  const Linear* one = &w;
  linear(ctx, std::span<const Linear* const>(&one, 1), x, out);
}
// The same of h = rms_norm(x): x and h [T, K], norm [K].
void norm_linear(Context& ctx, TensorView x, const float* norm, float eps, TensorView h,
                 std::span<const Linear* const> parts, TensorView out);
inline void norm_linear(Context& ctx, TensorView x, const float* norm, float eps, TensorView h, const Linear& w,
                        TensorView out) {
  const Linear* one = &w;
  norm_linear(ctx, x, norm, eps, h, std::span<const Linear* const>(&one, 1), out);
}
// out = residual + x W^T. residual [T, N]; out [T, N] may alias residual.
void linear_add(Context& ctx, const Linear& w, TensorView x, TensorView residual, TensorView out);

// gate and up [F, D], down [D', F].
struct Mlp {
  const Linear &gate, &up, &down;
};
// out = residual + down(silu(gate h) * up h), h = rms_norm(x). x and h [T, D], norm [D]; residual and out [T, D'], may
// alias. gate_up [T, 2F] (gate first) gets the products if it has memory; act [T, F] is scratch.
void mlp(Context& ctx, TensorView x, const float* norm, float eps, TensorView h, const Mlp& w, TensorView gate_up,
         TensorView act, TensorView residual, TensorView out);

// cos_sin[t] = {cos(angle_i) * factor for i < Dh/2, then sin(angle_i) * factor}, angle_i = fp32(pos) * inv_freq[i]
// in fp32. positions [T], inv_freq [Dh/2], cos_sin [T, Dh].
void rope_table(Context& ctx, std::span<const int32_t> positions, std::span<const float> inv_freq, float factor,
                TensorView cos_sin);

// Writes this step's k and v of one layer into their pages (rounded to the page's type), then, for segments with a
// parent, copies the parent's slots of the shared page. qkv [T, (Hq + 2 Hkv) Dh] in the order q, k, v.
void kv_store(Context& ctx, TensorView qkv, HeadShape heads, const kernels::KvView& kv, int64_t layer,
              std::span<const kernels::Segment> segments);

// RMSNorm of each q and k head before its rotation; weights [Dh], null for Qwen2.5: no norm.
struct HeadNorms {
  const float *q = nullptr, *k = nullptr;
  float eps = 0;
};
// Norms and rotates the q and k heads of every token of the segments (pairs (i, i + Dh/2); v heads are copied) and
// stores keys and values as kv_store does. out [T, (Hq + 2 Hkv) Dh] may alias qkv; cos_sin [T, Dh] from rope_table.
void rope_store(Context& ctx, TensorView qkv, const HeadNorms& norms, HeadShape heads, TensorView cos_sin,
                const kernels::KvView& kv, int64_t layer, std::span<const kernels::Segment> segments, TensorView out);

// Fills whole pages of every layer with generated keys and values, uniform in [-1, 1): for benchmarks that need a depth
// without computing it. A function of (page ids, seed) alone.
void kv_fill(Context& ctx, const kernels::KvView& kv, std::span<const int32_t> page_ids, uint64_t seed);

// out[t] = softmax(q k^T * scale) v over the segment's ancestors and itself causally, K and V always read from the
// pages. qkv [T, (Hq + 2 Hkv) Dh]; out [T, Hq Dh].
void attention(Context& ctx, TensorView qkv, HeadShape heads, const kernels::KvView& kv, int64_t layer,
               std::span<const kernels::Segment> segments, float scale, TensorView out);

// The attention probabilities of one segment, for probing: probs [Hq, length, start_pos + length] f32, zeros above
// the diagonal. Straight and slow; the same scores and maxima as attention().
void attention_probs(Context& ctx, TensorView qkv, HeadShape heads, const kernels::KvView& kv, int64_t layer,
                     const kernels::Segment& segment, float scale, float* probs);

// out[r] = x[rows[r]]. x [T, D], out [R, D].
void gather_rows(Context& ctx, TensorView x, std::span<const int32_t> rows, TensorView out);

}  // namespace bantam::ops
