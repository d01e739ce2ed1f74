// Linear kernels for AVX2 + FMA + F16C: 8 rows per vector, vpmaddubsw with int16 accumulation (linear_vec_avx2.inl.h).
// Register tile in fast: 1 row vector x 6 tokens (6 int16 and 6 float accumulators of 16 registers), x 4 where a third
// accumulator is needed; in exact 2 row vectors x 6 tokens.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/linear_kernels.h"
#include "kernels/packed_format.h"
#include "quant/iq4_nl.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")

namespace bantam::kernels {
namespace {

#include "kernels/cpu/linear_vec_avx2.inl.h"

#include "kernels/cpu/generic/linear_block.inl.h"

// h[m][half] of groups G..7 of one block with M tokens' blocks; run holds the int16 sums since the last widening.
template <DType T, int M, int G = 0>
BANTAM_INLINE void dot_groups(const uint8_t* planes, const ActBlock* acts, int64_t stride, VI* run, VI (*h)[2]) {
  constexpr int half = packed_format(T).halves() == 2 ? G / 4 : 0;
  const VI w = load_code<T, G>(planes), magnitudes = magnitudes_of<T>(w);
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) {
    const VI product = products16<T>(w, magnitudes, i_broadcast(acts[m * stride].q + 4 * G));
    run[m] = G % kRun<T> == 0 ? product : i_add16(run[m], product);
    if constexpr ((G + 1) % kRun<T> == 0) {
      const bool first = (G + 1 - kRun<T>) % (8 / packed_format(T).halves()) == 0;
      h[m][half] = i_add32(first ? dot_start<T>(acts + m * stride, half) : h[m][half], i_widen(run[m]));
    }
  }
  if constexpr (G < 7) dot_groups<T, M, G + 1>(planes, acts, stride, run, h);
}
// Integer dots of one block of one row vector with M tokens' blocks: h[m][0], and h[m][1] for types with scales per 16.
template <DType T, int M>
BANTAM_INLINE void dot_tokens(const uint8_t* planes, const ActBlock* acts, int64_t stride, VI (*h)[2]) {
  VI run[M];
  dot_groups<T, M>(planes, acts, stride, run, h);
}

constexpr int64_t kGroupTiles = 1;
constexpr int kFastVectors = 1;  // row vectors per register tile
constexpr int64_t kTotalsStride = 16;
template <DType T>
constexpr int64_t kRegisterTokens = kRun<T> == 8 ? 6 : 4;
template <DType T>
struct PanelBlock;

// totals[N tokens][8] += panel . acts over `blocks` blocks.
template <DType T, int R, int N>
void panel_dots(const PanelBlock<T>* panel, int64_t blocks, const ActBlock* acts, int64_t stride, float* totals);

#include "kernels/cpu/generic/linear_fast.inl.h"

template <DType T, int R, int N>
void panel_dots(const PanelBlock<T>* panel, int64_t blocks, const ActBlock* acts, int64_t stride, float* totals) {
  static_assert(R == 1);
  constexpr PackedFormat f = packed_format(T);
  constexpr int halves = f.halves(), steps = 8 / halves;
  VF total[N];
#pragma GCC unroll 6
  for (int n = 0; n < N; ++n) total[n] = f_load(totals + n * kTotalsStride);
  for (int64_t b = 0; b < blocks; ++b, ++panel, ++acts) {
#pragma GCC unroll 6
    for (int n = 0; n < N; ++n) prefetch(acts + (N + n) * stride);  // the next register tile's
    VF t[N];
#pragma GCC unroll 2
    for (int half = 0; half < halves; ++half) {
      VI h[N];
      for (int g = half * steps; g < (half + 1) * steps; g += kRun<T>) {
        VI run[N];
#pragma GCC unroll 8
        for (int i = 0; i < kRun<T>; ++i) {
          const VI w = i_load(panel->codes[g + i]), magnitudes = magnitudes_of<T>(w);
#pragma GCC unroll 6
          for (int n = 0; n < N; ++n) {
            const VI product = products16<T>(w, magnitudes, i_broadcast(acts[n * stride].q + 4 * (g + i)));
            run[n] = i == 0 ? product : i_add16(run[n], product);
          }
        }
#pragma GCC unroll 6
        for (int n = 0; n < N; ++n) {
          const VI so_far = g == half * steps ? dot_start<T>(acts + n * stride, half) : h[n];
          h[n] = i_add32(so_far, i_widen(run[n]));
        }
      }
      const VF scale = f_load(panel->scale[half]);
#pragma GCC unroll 6
      for (int n = 0; n < N; ++n) {
        t[n] = half == 0 ? f_mul(f_from_i(h[n]), scale) : f_fma(f_from_i(h[n]), scale, t[n]);
      }
    }
#pragma GCC unroll 6
    for (int n = 0; n < N; ++n) {
      if constexpr (f.has_add()) {
        VF sums[2];
        act_sums<T>(acts + n * stride, sums);
#pragma GCC unroll 2
        for (int half = 0; half < halves; ++half) t[n] = f_fma(sums[half], f_load(panel->add[half]), t[n]);
      }
      total[n] = f_fma(t[n], f_set(acts[n * stride].d), total[n]);
    }
  }
#pragma GCC unroll 6
  for (int n = 0; n < N; ++n) f_store(totals + n * kTotalsStride, total[n]);
}

#include "kernels/cpu/generic/linear_exact.inl.h"

}  // namespace

void fill_linear_avx2(LinearKernels& kernels) {
  kernels.exact = run_exact_any;
  kernels.fast = run_fast_any;
  kernels.quantize_rows = quantize_rows;
}

}  // namespace bantam::kernels

#pragma GCC pop_options
