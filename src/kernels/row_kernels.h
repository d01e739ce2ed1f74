// The kernels that are not matrix products: norms, rotation, activations, the key-value store and attention. One
// pointer each, with layout, REQUIRES and the order in which sums are made. All tables give the same bits; shapes are
// checked, and work is split over threads, by ops. Every kernel is a pure function of its arguments: thread-safe.
// "16 lanes, fixed tree" below: element i goes to lane i % 16 in order of i; the 16 lane sums a[0..15] are then
// halved: a[j] += a[j + 8] for j < 8, then + 4, + 2, + 1.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kv_layout.h"
#include "tensor/dtype.h"

namespace bantam::kernels {

inline constexpr int64_t kMaxHeadDim = 256;
// Attention accumulates over runs of 16 pages and merges the runs in order, whoever computes them.
inline constexpr int64_t kRunPages = 16;
inline constexpr int64_t kRunTok = kRunPages * kPageTok;
// The most query rows (tokens x query heads of one KV head) of one attention block.
inline constexpr int64_t kMaxAttentionRows = 256;

// Unnormalised attention of some rows over some positions: sum of exp(s - max) v and sum of exp(s - max).
struct AttentionState {
  float* max;  // [rows]
  float* sum;  // [rows]
  float* out;  // [rows, Dh]
};

// One block of query rows against one run of pages of one KV head.
struct AttentionRun {
  const float* q;     // first query of the group's first head; head g of token i at q + i * q_stride + g * Dh
  int64_t q_stride;   // floats between tokens
  int64_t group;      // query heads served by this KV head
  int64_t queries;    // consecutive tokens, >= 1; rows = queries * group, row = token * group + head
  int64_t first_pos;  // position of the first token; token i sees positions <= first_pos + i
  int64_t head_dim;
  float scale;
  DType dtype;                        // of the pages
  bool integer;                       // q8_0 and q4_0 pages: int8 queries and integer products (`fast`), else fp32
  int64_t page_begin, page_end;       // pages of this run that hold a position seen by the last token
  const std::byte* pages[kRunPages];  // this KV head's runs (kv_layout.h); page p, positions [64 p, 64 p + 64), is at
                                      // pages[p - page_begin]
};

struct RowKernels {
  // out = w * (x * (1 / sqrt(mean(x^2) + eps))), each product rounded, as transformers' RMSNorm in fp32.
  // x, out [rows, n], w [n]; out may alias x. Sum of squares: 16 lanes by FMA, fixed tree.
  void (*rms_norm)(const float* x, const float* w, float eps, int64_t rows, int64_t n, float* out);

  // One token. q and k heads: rms_norm over Dh with q_norm / k_norm (null: none), then
  // out[i] = x[i] cos[i] + (-x[i + h]) sin[i], out[i + h] = x[i + h] cos[i] + x[i] sin[i], h = Dh / 2: two rounded
  // products and one rounded sum, no FMA, as torch. v heads are copied. qkv, out [(Hq + 2 Hkv) Dh], may be the same;
  // cos_sin [Dh]: cosines, then sines. REQUIRES: Dh % 16 == 0, Dh <= kMaxHeadDim.
  void (*qk_norm_rope)(const float* qkv, const float* q_norm, const float* k_norm, int64_t q_heads, int64_t kv_heads,
                       int64_t head_dim, float eps, const float* cos_sin, float* out);

  // out = gate / (1 + exp(-gate)) * up, elementwise over n.
  void (*swiglu)(const float* gate, const float* up, int64_t n, float* out);

  // out[i] = exp(x[i] - shift): the exponential of attention and swiglu, at most 1 ulp off, denormals included.
  void (*exp_shifted)(const float* x, float shift, int64_t n, float* out);

  // Writes tokens [first_slot, first_slot + n) of one KV head's run in one page: head points at it. k and v are the
  // head's first token, `stride` floats between tokens. f16: rounded to nearest even. Per token and 32 dimensions:
  // q8_0: scale = f16(max |x| / 127), code = x * (1 / scale) rounded to nearest even, within +-127; q4_0: scale =
  // f16(the x of largest magnitude / -8), code likewise within [-8, 7]. A block of keys that holds a NaN or an
  // infinity has a NaN for its scale; one of values makes the key scale of its place a NaN. REQUIRES: first_slot + n <=
  // kPageTok, Dh % 16 == 0, kv_supports(dtype, Dh).
  void (*kv_store)(const float* k, const float* v, int64_t stride, int64_t n, int64_t first_slot, int64_t head_dim,
                   DType dtype, std::byte* head);

  // Fills the rows of `state` that see anything in the run (the others are left alone). Per page, in order:
  // score = (sum over d in order by FMA) * scale; m' = max(m, scores); p = exp(score - m'); sum' = sum * exp(m - m') +
  // (p over 64 slots: 16 lanes, fixed tree); out' = out * exp(m - m'), then FMA over the page's slots in order, one
  // lane per d. Slots a row does not see add nothing. scratch: attention_scratch_floats() floats, 64-byte aligned.
  // q8_0 and q4_0 pages are decoded to exact fp32 first, unless `integer`: then queries become int8 per 32 dimensions
  // (d = max |q| / 127), dots are exact in int32, and a page is
  //   score = (over blocks of 32 in order: fma(dot * key scale, d, sum)) * scale; e = exp(score - M), M the page's max;
  //   per block of 32 dimensions, W the largest |value scale| of the slots seen: code = e * (value scale * (32767 / W))
  //   rounded to nearest even; o = dot of codes and value codes over the 64 slots; m' = max(m, M), a = exp(m - m'),
  //   g = exp(M - m'); sum' = fma(sum of e: 16 lanes, fixed tree; g, sum * a); out' = fma(o, W * (1 / 32767) * g, out *
  //   a).
  // REQUIRES: rows <= kMaxAttentionRows, Dh % 16 == 0, Dh <= kMaxHeadDim, kv_supports(dtype, Dh), at most kRunPages
  // pages.
  void (*attention_run)(const AttentionRun& run, const AttentionState& state, float* scratch);

  // total = total merged with run, for rows [row_begin, row_end): M = max(m0, m1), a = exp(m0 - M), b = exp(m1 - M),
  // sum = fma(s1, b, s0 * a), out = fma(o1, b, o0 * a).
  void (*attention_merge)(const AttentionState& total, const AttentionState& run, int64_t row_begin, int64_t row_end,
                          int64_t head_dim);

  // out[d] = state.out[d] / sum for one row.
  void (*attention_finish)(const float* state_out, float sum, int64_t head_dim, float* out);
};

// Floats of scratch that attention_run needs for `rows` rows: K and V of a page as f32 (as tiles read them, and as
// decoded), scores [rows, 64]. Integer products need less: scales of a page, queries as int8.
inline constexpr int64_t attention_scratch_floats(int64_t rows, int64_t head_dim) {
  return 4 * kPageTok * head_dim + rows * kPageTok;
}

// Each fills every pointer. The AVX2 and AVX-512 ones may be called only where cpu_features() allows.
void fill_rows_generic(RowKernels& rows);
void fill_rows_avx2(RowKernels& rows);
void fill_rows_avx512(RowKernels& rows);
void fill_attention_generic(RowKernels& rows);
void fill_attention_avx2(RowKernels& rows);
void fill_attention_avx512(RowKernels& rows);
// Replaces what tiles do better; the rest is to be filled in before.
void fill_attention_amx(RowKernels& rows);

// cos and sin of an fp32 angle, each computed in double and rounded once to fp32. One code for all tables (baseline
// instructions). REQUIRES: |angle| < 2^20 radians, which every supported context is far below.
void sin_cos(float angle, float* sine, float* cosine);

}  // namespace bantam::kernels
