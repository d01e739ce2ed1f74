// Linear kernels for AVX-512 with VNNI: 16 rows per vector, vpdpbusd with unsigned codes; the codes' offset enters
// as -offset * (sum of activations), the start value of the integer accumulators. Register tile: 2 row vectors x 6
// tokens (12 integer and 12 float accumulators; x 4 for scales per 16, which need a third set).
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

#include "kernels/cpu/linear_vec_avx512.inl.h"

#include "kernels/cpu/generic/linear_block.inl.h"

// Integer dots of one block of one row vector with M tokens' blocks: h[m][0], and h[m][1] for types with scales per 16.
template <DType T, int M>
BANTAM_INLINE void dot_tokens(const uint8_t* planes, const ActBlock* acts, int64_t stride, VI (*h)[2]) {
  constexpr int halves = packed_format(T).halves(), offset = kOffset<T>;
  VI codes[8];
  load_codes<T>(planes, codes);
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) {
    const ActBlock* a = acts + m * stride;
    h[m][0] = h[m][1] = i_set32(0);
    if constexpr (offset != 0) {
      const VI sums = i_broadcast(a->sum);
      h[m][0] = i_madd16(sums, i_pair(-offset, halves == 1 ? -offset : 0));
      if constexpr (halves == 2) h[m][1] = i_madd16(sums, i_pair(0, -offset));
    }
#pragma GCC unroll 8
    for (int g = 0; g < 8; ++g) {
      VI& to = h[m][g * halves / 8];
      to = i_dot4(to, codes[g], i_broadcast(a->q + 4 * g));
    }
  }
}

constexpr int64_t kGroupTiles = 2;
constexpr int kFastVectors = 2;  // row vectors per register tile
constexpr int64_t kTotalsStride = 32;
template <DType T>
constexpr int64_t kRegisterTokens = packed_format(T).halves() == 2 ? 4 : 6;
template <DType T>
struct PanelBlock;

// totals[N tokens][R x 16] += panel . acts over `blocks` blocks.
template <DType T, int R, int N>
void panel_dots(const PanelBlock<T>* panel, int64_t blocks, const ActBlock* acts, int64_t stride, float* totals);

#include "kernels/cpu/generic/linear_fast.inl.h"

template <DType T, int R, int N>
void panel_dots(const PanelBlock<T>* panel, int64_t blocks, const ActBlock* acts, int64_t stride, float* totals) {
  constexpr PackedFormat f = packed_format(T);
  constexpr int halves = f.halves(), offset = kOffset<T>, steps = 8 / halves;
  VF total[R][N];
#pragma GCC unroll 12
  for (int i = 0; i < R * N; ++i) total[i / N][i % N] = f_load(totals + i % N * kTotalsStride + i / N * kLanes);
  for (int64_t b = 0; b < blocks; ++b, ++panel, ++acts) {
#pragma GCC unroll 6
    for (int n = 0; n < N; ++n) prefetch(acts + (N + n) * stride);  // the next register tile's
    VF t[R][N];
#pragma GCC unroll 2
    for (int half = 0; half < halves; ++half) {
      VI h[R][N];
#pragma GCC unroll 6
      for (int n = 0; n < N; ++n) {
        VI start = i_set32(0);
        if constexpr (offset != 0) {
          start = i_madd16(i_broadcast(acts[n * stride].sum),
                           halves == 1 ? i_pair(-offset, -offset) : half == 0 ? i_pair(-offset, 0) : i_pair(0, -offset));
        }
#pragma GCC unroll 2
        for (int r = 0; r < R; ++r) h[r][n] = start;
      }
#pragma GCC unroll 8
      for (int g = half * steps; g < (half + 1) * steps; ++g) {
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
        const VF scale = f_load(panel[r * kPanelBlocks].scale[half]);
#pragma GCC unroll 6
        for (int n = 0; n < N; ++n) {
          t[r][n] = half == 0 ? f_mul(f_from_i(h[r][n]), scale) : f_fma(f_from_i(h[r][n]), scale, t[r][n]);
        }
      }
    }
#pragma GCC unroll 6
    for (int n = 0; n < N; ++n) {
      VF sums[2];
      act_sums<T>(acts + n * stride, sums);
#pragma GCC unroll 2
      for (int r = 0; r < R; ++r) {
        if constexpr (f.has_add()) {
#pragma GCC unroll 2
          for (int half = 0; half < halves; ++half) {
            t[r][n] = f_fma(sums[half], f_load(panel[r * kPanelBlocks].add[half]), t[r][n]);
          }
        }
        total[r][n] = f_fma(t[r][n], f_set(acts[n * stride].d), total[r][n]);
      }
    }
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
