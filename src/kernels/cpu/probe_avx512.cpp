// Peak probes for AVX-512 VNNI: 16 independent accumulators hide the latency of both units.
#include <immintrin.h>

#include "kernels/cpu/probe_kernels.h"

// GCC 12's own intrinsics start from undefined vectors, which it then warns about.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")

namespace bantam::kernels {
namespace {

constexpr int kChains = 16;

uint64_t read(const std::byte* data, int64_t bytes) {
  __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
  for (int64_t at = 0; at < bytes; at += 256) {
    a = _mm512_or_si512(a, _mm512_loadu_si512(data + at));
    b = _mm512_or_si512(b, _mm512_loadu_si512(data + at + 64));
    c = _mm512_or_si512(c, _mm512_loadu_si512(data + at + 128));
    d = _mm512_or_si512(d, _mm512_loadu_si512(data + at + 192));
  }
  const __m512i all = _mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d));
  alignas(64) uint64_t words[8];
  _mm512_store_si512(words, all);
  return words[0] ^ words[7];
}

double fma(int64_t rounds) {
  __m512 acc[kChains];
  const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) acc[i] = _mm512_set1_ps(static_cast<float>(i));
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) acc[i] = _mm512_fmadd_ps(acc[i], x, y);
  }
  float sum = 0;
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) sum += _mm512_cvtss_f32(acc[i]);
  return static_cast<double>(sum);
}

double int8(int64_t rounds) {
  __m512i acc[kChains];
  const __m512i u = _mm512_set1_epi8(3), s = _mm512_set1_epi8(-2);
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) acc[i] = _mm512_set1_epi32(i);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) acc[i] = _mm512_dpbusd_epi32(acc[i], u, s);
  }
  int sum = 0;
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) sum ^= _mm_cvtsi128_si32(_mm512_castsi512_si128(acc[i]));
  return sum;
}

}  // namespace

ProbeKernels probe_kernels_avx512() {
  return {.read = read,
          .fma = fma,
          .int8 = int8,
          .flop_per_round = kChains * 16 * 2,
          .int8_op_per_round = kChains * 64 * 2};
}

}  // namespace bantam::kernels

#pragma GCC pop_options
