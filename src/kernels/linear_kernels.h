// The linear part of a kernel table: products of a packed matrix [N, K] with M rows of activations. ops::linear calls
// these on ranges of 16-row tiles from several threads; a call never allocates and touches only its own columns of
// `out` and its own scratch. M is handled inside: one pass over the weights for every M up to kLinearTokens.
//
// Bits (docs/numerics.md). Every output element has one order, the same in all tables and for every M. K is walked in
// blocks of 32 (the last one shorter for float types).
//   fast, quantised weights. A block has one scale, or two (types with scales per 16: s = 0 for its first 16 k, then
//   1); weights are (code - offset) * scale_s + add_s and activations q * d with a scale d per block. For each s in
//   order:
//     h     = sum of (code - offset) * q                 exact, int32, |h| < 2^22
//     t     = fma(kMagic + h, scale_s, -(kMagic * scale_s))
//     t     = fma(float(sum of q), add_s, t)             (types with an additive term)
//     total = fma(t, d, total)
//   The first FMA is h * scale_s rounded once (kMagic + h and kMagic * scale_s are exact) without a conversion: as an
//   int, kMagic's bits + h are the bits of kMagic + h. Infinite scales become NaN by it.
//   exact, and float weights in both modes. w = the weight as quant/ decodes it:
//     block = 0;  block = fma(w[k], x[k], block) for k in order;  total = total + block
//   Both start with total = 0 and end with: total + bias, then residual + that.
// scale_s and add_s are exact floats: a product of an f16 and a sub-scale of at most 8 bits has at most 19 bits, and
// kMagic = 3 * 2^22 adds two.
// Non-finite weights or activations give non-finite outputs (NaN payloads unspecified), never undefined behaviour.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/packed.h"

namespace bantam::kernels {

inline constexpr float kMagic = 12582912.0f;  // 0x4B400000: the middle of the floats whose unit is 1
inline constexpr int32_t kMagicBits = 0x4B400000;
inline constexpr int64_t kBlock = 32;  // k per block of quantised activations and per partial sum of exact products

// 32 activations as int8: x is about q * d. peak = max |x|; d = peak / 127; q = x * (127 / peak), rounded to nearest
// even. A block with a peak below kMinPeak has d = 0 and q = 0 (127 / peak must stay finite and d normal); one that
// holds a NaN or an infinity has d = NaN and q = 0, so that every output of its token is NaN.
inline constexpr float kMinPeak = 0x1p-118f;
struct ActBlock {
  int8_t q[kBlock];  // -127 .. 127
  float d;
  int16_t sum[2];  // sums of q over the first and the second 16
};
static_assert(sizeof(ActBlock) == 40);

// The same for 16 tokens side by side, as matrix tiles read them; tokens past the last are zero.
inline constexpr int64_t kTileTokens = 16;
struct alignas(64) ActTile {
  int8_t q[kTileTokens][kBlock];
  float d[kTileTokens];
  float sum[kTileTokens];  // of q
};
static_assert(sizeof(ActTile) == kTileTokens * sizeof(ActBlock));

struct LinearJob {
  PackedMatrix weight;       // [N, K]
  int64_t m = 0;             // rows of activations, >= 0
  const float* x = nullptr;  // exact: [M, K], rows x_stride floats apart
  int64_t x_stride = 0;
  const ActBlock* q = nullptr;  // fast: [M, K / 32], rows q_stride blocks apart
  int64_t q_stride = 0;
  const ActTile* tiles = nullptr;  // fast, where LinearKernels::tiled says so: [ceil(M / 16), K / 32], rows
  int64_t tiles_stride = 0;        // tiles_stride tiles apart
  float* out = nullptr;            // [M, N], rows out_stride floats apart; its first column is that of tile out_tile
  int64_t out_stride = 0;
  int64_t out_tile = 0;
  bool reread = false;              // `out` is read again at once: it should stay in the cache
  const float* bias = nullptr;      // [N] or null
  const float* residual = nullptr;  // [M, N], rows residual_stride floats apart, or null; may be `out` itself
  int64_t residual_stride = 0;
};

// Tokens of one pass over the weights; larger M takes several.
inline constexpr int64_t kLinearTokens = 512;
// Scratch one call needs, 64-byte aligned: an unpacked panel of 32 KiB and running totals of 64 rows, or one of up to
// 48 KiB and totals of 32 rows.
inline constexpr int64_t kLinearScratchBytes = 32 * 1024 + kLinearTokens * 64 * 4;
// Blocks between rows of quantised activations: one spare block keeps rows off the same cache sets.
inline constexpr int64_t act_stride(int64_t cols) {
  return cols / kBlock + 1;
}

struct LinearKernels {
  // Rows of tiles [tile_begin, tile_end) of out. REQUIRES: tile_begin even (tiles are worked on in pairs).
  using RunFn = void (*)(const LinearJob& job, int64_t tile_begin, int64_t tile_end, std::byte* scratch);
  // Quantises rows [row_begin, row_end) of x [*, K]. REQUIRES: K a multiple of 32.
  using QuantizeFn = void (*)(const float* x, int64_t x_stride, int64_t cols, int64_t row_begin, int64_t row_end,
                              ActBlock* out, int64_t out_stride);
  // Quantises rows of tiles [tile_begin, tile_end) of x [rows, K], out rows out_stride tiles apart.
  using QuantizeTilesFn = void (*)(const float* x, int64_t x_stride, int64_t cols, int64_t rows, int64_t tile_begin,
                                   int64_t tile_end, ActTile* out, int64_t out_stride);
  RunFn exact = nullptr;  // any packable type
  RunFn fast = nullptr;   // quantised types only
  QuantizeFn quantize_rows = nullptr;
  // Whether `fast` reads LinearJob::tiles instead of ::q for this type and M; null: never.
  bool (*tiled)(DType dtype, int64_t m) = nullptr;
  QuantizeTilesFn quantize_tiles = nullptr;  // null where tiled is
};

// Bytes of ops scratch for products of at most max_tok rows with K <= max_k on `threads` threads.
inline constexpr int64_t linear_scratch_bytes(int64_t max_tok, int64_t max_k, int threads) {
  const int64_t stride = act_stride(max_k + kBlock), tiles = (max_tok + kTileTokens - 1) / kTileTokens;
  const int64_t rows = max_tok * stride * static_cast<int64_t>(sizeof(ActBlock));
  return threads * kLinearScratchBytes + (rows + 63) / 64 * 64 + tiles * stride * static_cast<int64_t>(sizeof(ActTile));
}

// Whether `fast` differs from `exact` for this type.
inline constexpr bool has_fast(DType dtype) {
  return info(dtype).is_quant;
}

void fill_linear_generic(LinearKernels& kernels);
// REQUIRES: the CPU has AVX2, FMA and F16C.
void fill_linear_avx2(LinearKernels& kernels);
// REQUIRES: the CPU has AVX-512 F, BW, DQ, VL and VNNI (and what fill_linear_avx2 requires).
void fill_linear_avx512(LinearKernels& kernels);
// REQUIRES: what fill_linear_avx512 does, AMX-INT8 and GFNI (CpuFeatures::amx_int8).
void fill_linear_amx(LinearKernels& kernels);

}  // namespace bantam::kernels
