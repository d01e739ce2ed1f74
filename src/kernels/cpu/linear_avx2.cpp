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

// clang-format off
#include "kernels/cpu/linear_vec_avx2.inl.h"
#include "kernels/cpu/generic/linear_block.inl.h"
// clang-format on

// kMagicBits - offset * (sum of the token's block or half)
template <DType T, int Half>
BANTAM_INLINE VI dot_start(const ActBlock* a) {
  const VI magic = i_set32(kMagicBits);
  if constexpr (kOffset<T> == 0) return magic;
  return i_add32(magic, i_madd16(i_broadcast(a->sum), offset_pair<T, Half>()));
}

// h[M] of groups G.. of one block or half; run holds the int16 sums since the last widening.
template <DType T, int M, int Half, int G>
BANTAM_INLINE void dot_groups(const uint8_t* planes, const ActBlock* const* acts, const int32_t* early, VI* run,
                              VI* h) {
  constexpr int steps = 8 / packed_format(T).halves(), step = G % steps;
  const VI w = load_code<T, G>(planes), magnitudes = magnitudes_of<T>(w);
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) {
    const VI product = products16<T>(w, magnitudes, i_broadcast(acts[m]->q + 4 * G));
    run[m] = step % kRun<T> == 0 ? product : i_add16(run[m], product);
    if constexpr ((step + 1) % kRun<T> == 0) {
      if constexpr (step < kRun<T>) {
        h[m] = kEarlyStarts<T, M> ? i_broadcast(early + m) : dot_start<T, Half>(acts[m]);
      }
      h[m] = i_add32(h[m], i_widen(run[m]));
    }
  }
  if constexpr (step + 1 < steps) dot_groups<T, M, Half, G + 1>(planes, acts, early, run, h);
}
// h[1][M] = kMagicBits + the integer dots of one block or half of one row vector with M tokens. early: see kEarlySums.
template <DType T, int M, int R, int Half>
BANTAM_INLINE void dot_tokens(const uint8_t* planes, int64_t /*step*/, const ActBlock* const* acts,
                              const int32_t* early, VI (*h)[M]) {
  static_assert(R == 1);
  VI run[M];
  dot_groups<T, M, Half, Half * 4>(planes, acts, early, run, h[0]);
}
template <DType T, int M>
constexpr int kTilesAbreast = 1;

#include "kernels/cpu/generic/linear_stream.inl.h"

constexpr int64_t kGroupTiles = 1;
constexpr int kFastVectors = 1;  // row vectors per register tile
constexpr int64_t kTotalsStride = 16;
constexpr int kStreamFloatTokens = 6;  // x 2 row vectors = 12 accumulators
template <DType T>
constexpr int64_t kRegisterTokens = kRun<T>* packed_format(T).halves() == 8 ? 6 : 4;
template <DType T>
struct PanelBlock;

// totals[N tokens][8] += panel . acts over `blocks` blocks.
template <DType T, int R, int N>
void panel_dots(const PanelBlock<T>* panel, int64_t blocks, const ActBlock* acts, int64_t stride, float* totals);

#include "kernels/cpu/generic/linear_fast.inl.h"

// total += one block, or one half of it.
template <DType T, int N, int Half>
BANTAM_INLINE void panel_unit(const PanelBlock<T>* panel, const ActBlock* acts, int64_t stride, VF* total) {
  constexpr int steps = 8 / packed_format(T).halves();
  VI h[N];
#pragma GCC unroll 8
  for (int g = Half * steps; g < (Half + 1) * steps; g += kRun<T>) {
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
      h[n] = i_add32(g == Half * steps ? dot_start<T, Half>(acts + n * stride) : h[n], i_widen(run[n]));
    }
  }
  const UnitScales s{f_load(panel->scale[Half]), f_load(panel->shift[Half]),
                     f_load(panel->add[packed_format(T).has_add() ? Half : 0])};
#pragma GCC unroll 6
  for (int n = 0; n < N; ++n) total[n] = add_unit<T, Half>(total[n], h[n], s, acts + n * stride);
}

template <DType T, int R, int N>
void panel_dots(const PanelBlock<T>* panel, int64_t blocks, const ActBlock* acts, int64_t stride, float* totals) {
  static_assert(R == 1);
  VF total[N];
#pragma GCC unroll 6
  for (int n = 0; n < N; ++n) total[n] = f_load(totals + n * kTotalsStride);
  for (int64_t b = 0; b < blocks; ++b, ++panel, ++acts) {
#pragma GCC unroll 6
    for (int n = 0; n < N; ++n) prefetch(acts + (N + n) * stride);  // the next register tile's
    panel_unit<T, N, 0>(panel, acts, stride, total);
    if constexpr (packed_format(T).halves() == 2) panel_unit<T, N, 1>(panel, acts, stride, total);
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
