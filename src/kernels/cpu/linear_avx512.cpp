// Linear kernels for AVX-512 with VNNI: 16 rows per vector, vpdpbusd with unsigned codes; the codes' offset enters
// as -offset * (sum of activations), the start value of the integer accumulators. Register tile: 2 row vectors x 6
// tokens: 12 integer and 12 float accumulators.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/linear_kernels.h"
#include "kernels/packed_format.h"
#include "quant/iq4_nl.h"

// GCC 12's own intrinsics start from undefined vectors, which it then warns about.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")

namespace bantam::kernels {
namespace {

// clang-format off
#include "kernels/cpu/linear_vec_avx512.inl.h"
#include "kernels/cpu/generic/linear_block.inl.h"
// clang-format on

// kMagicBits - offset * (sum of the token's block or half)
template <DType T, int Half>
BANTAM_INLINE VI dot_start(const ActBlock* a) {
  const VI magic = i_set32(kMagicBits);
  if constexpr (kOffset<T> == 0) return magic;
  return _mm512_dpwssd_epi32(magic, i_broadcast(a->sum), offset_pair<T, Half>());
}

// h += codes of one group . 4 activations in memory. Assembly, because GCC 12 would load them into a register first and
// take the dots of several tokens out of their order: 3 to 7 % of the arithmetic at M = 8.
BANTAM_INLINE void add_dot4(VI* h, VI codes, const int8_t* acts) {
  asm volatile("vpdpbusd %2%{1to16%}, %1, %0"
               : "+v"(*h)
               : "v"(codes), "m"(*reinterpret_cast<const int8_t(*)[4]>(acts)));
}
// h[R][M] += groups G .. End - 1. Tokens inside: their chains run side by side, which the scheduler alone could not
// hold all of. codes: all groups', when R = 1; else they are unpacked here, one at a time.
template <DType T, int M, int R, int G, int End>
BANTAM_INLINE void dot_groups(const uint8_t* planes, int64_t step, const VI* codes, const ActBlock* const* acts,
                              VI (*h)[M]) {
  VI code[R];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) code[r] = R == 1 ? codes[G] : load_code<T, G>(planes + r * step);
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) {
    const int8_t* q = acts[m]->q + 4 * G;
    if constexpr (R == 1) {
      add_dot4(&h[0][m], code[0], q);
    } else {
      const VI four = i_broadcast(q);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) h[r][m] = i_dot4(h[r][m], code[r], four);
    }
  }
  if constexpr (G + 1 < End) dot_groups<T, M, R, G + 1, End>(planes, step, codes, acts, h);
}
// h[R][M] = kMagicBits + the integer dots of one block or half with M tokens, of one row vector of each of R tiles
// `step` bytes apart. early: see kEarlySums.
template <DType T, int M, int R, int Half>
BANTAM_INLINE void dot_tokens(const uint8_t* planes, int64_t step, const ActBlock* const* acts, const int32_t* early,
                              VI (*h)[M]) {
  constexpr int steps = 8 / packed_format(T).halves();
  VI codes[8];
  if constexpr (R == 1) load_codes<T>(planes, codes);
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) {
    const VI start = kEarlyStarts<T, M> ? i_broadcast(early + m) : dot_start<T, Half>(acts[m]);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) h[r][m] = start;
  }
  dot_groups<T, M, R, Half * steps, (Half + 1) * steps>(planes, step, codes, acts, h);
}
// As many as their sums and dots fit the registers; q6_k and its like, whose 8 scales would not, one by one at M = 1:
// no slower.
template <DType T, int M>
constexpr int kTilesAbreast = M == 1   ? (packed_format(T).halves() == 2 ? 1 : 4)
                              : M == 2 ? 4
                              : M <= 4 ? 2
                                       : 1;

#include "kernels/cpu/generic/linear_stream.inl.h"

constexpr int64_t kGroupTiles = 2;
constexpr int kFastVectors = 2;  // row vectors per register tile
constexpr int64_t kTotalsStride = 32;
constexpr int kStreamFloatTokens = 8;
template <DType T>
constexpr int64_t kRegisterTokens = 6;
template <DType T>
struct PanelBlock;

// totals[N tokens][R x 16] += panel . acts over `blocks` blocks.
template <DType T, int R, int N>
void panel_dots(const PanelBlock<T>* panel, int64_t blocks, const ActBlock* acts, int64_t stride, float* totals);

#include "kernels/cpu/generic/linear_fast.inl.h"

// total += one block, or one half of it.
template <DType T, int R, int N, int Half>
BANTAM_INLINE void panel_unit(const PanelBlock<T>* panel, const ActBlock* acts, int64_t stride, VF (&total)[R][N]) {
  constexpr int steps = 8 / packed_format(T).halves();
  VI h[R][N];
#pragma GCC unroll 6
  for (int n = 0; n < N; ++n) {
    const VI start = dot_start<T, Half>(acts + n * stride);
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r) h[r][n] = start;
  }
#pragma GCC unroll 8
  for (int g = Half * steps; g < (Half + 1) * steps; ++g) {
    VI w[R];
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r) w[r] = i_load(panel[r * kPanelBlocks].codes[g]);
#pragma GCC unroll 6
    for (int n = 0; n < N; ++n) {
      const VI a = i_broadcast(acts[n * stride].q + 4 * g);
#pragma GCC unroll 2
      for (int r = 0; r < R; ++r) h[r][n] = i_dot4(h[r][n], w[r], a);
    }
  }
#pragma GCC unroll 2
  for (int r = 0; r < R; ++r) {
    const PanelBlock<T>& p = panel[r * kPanelBlocks];
    const UnitScales s{f_load(p.scale[Half]), f_load(p.shift[Half]),
                       f_load(p.add[packed_format(T).has_add() ? Half : 0])};
#pragma GCC unroll 6
    for (int n = 0; n < N; ++n) total[r][n] = add_unit<T, Half>(total[r][n], h[r][n], s, acts + n * stride);
  }
}

template <DType T, int R, int N>
void panel_dots(const PanelBlock<T>* panel, int64_t blocks, const ActBlock* acts, int64_t stride, float* totals) {
  VF total[R][N];
#pragma GCC unroll 12
  for (int i = 0; i < R * N; ++i) total[i / N][i % N] = f_load(totals + i % N * kTotalsStride + i / N * kLanes);
  for (int64_t b = 0; b < blocks; ++b, ++panel, ++acts) {
#pragma GCC unroll 6
    for (int n = 0; n < N; ++n) prefetch(acts + (N + n) * stride);  // the next register tile's
    panel_unit<T, R, N, 0>(panel, acts, stride, total);
    if constexpr (packed_format(T).halves() == 2) panel_unit<T, R, N, 1>(panel, acts, stride, total);
  }
#pragma GCC unroll 12
  for (int i = 0; i < R * N; ++i) f_store(totals + i % N * kTotalsStride + i / N * kLanes, total[i / N][i % N]);
}

#include "kernels/cpu/generic/linear_exact.inl.h"

}  // namespace

void fill_linear_avx512(LinearKernels& kernels) {
  kernels.exact = run_exact_any;
  kernels.fast = run_fast_any;
  kernels.quantize_rows = quantize_rows;
}

}  // namespace bantam::kernels

#pragma GCC pop_options
