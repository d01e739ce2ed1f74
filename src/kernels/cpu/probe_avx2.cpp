// Peak probes for AVX2 + FMA: 12 independent accumulators (of 16 registers) hide the latency of both units.
#include <immintrin.h>

#include "kernels/cpu/probe_kernels.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")

namespace bantam::kernels {
namespace {

constexpr int kChains = 12;

// In so many streams at once: the hardware fetches further ahead for several, as the kernels read, than for one.
template <int kStreams>
uint64_t read(const std::byte* data, int64_t bytes) {
  const int64_t share = bytes / kStreams;
  __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
  for (int64_t at = 0; at < share; at += 128) {
#pragma GCC unroll 4
    for (int stream = 0; stream < kStreams; ++stream) {
      const auto* p = reinterpret_cast<const __m256i*>(data + stream * share + at);
      a = _mm256_or_si256(a, _mm256_loadu_si256(p));
      b = _mm256_or_si256(b, _mm256_loadu_si256(p + 1));
      c = _mm256_or_si256(c, _mm256_loadu_si256(p + 2));
      d = _mm256_or_si256(d, _mm256_loadu_si256(p + 3));
    }
  }
  alignas(32) uint64_t words[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(words), _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d)));
  return words[0] ^ words[3];
}

double fma(int64_t rounds) {
  __m256 acc[kChains];
  const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1e-3f);
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) acc[i] = _mm256_set1_ps(static_cast<float>(i));
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) acc[i] = _mm256_fmadd_ps(acc[i], x, y);
  }
  float sum = 0;
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) sum += _mm256_cvtss_f32(acc[i]);
  return static_cast<double>(sum);
}

double int8(int64_t rounds) {
  __m256i acc[kChains];
  __m256i s = _mm256_set1_epi8(-2);
  const __m256i u = _mm256_set1_epi8(3);
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) acc[i] = _mm256_set1_epi16(static_cast<int16_t>(i));
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) {
      acc[i] = _mm256_add_epi16(acc[i], _mm256_maddubs_epi16(u, s));
      asm volatile("" : "+x"(s));  // the product is not a constant
    }
  }
  int sum = 0;
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) sum ^= _mm_cvtsi128_si32(_mm256_castsi256_si128(acc[i]));
  return sum;
}

}  // namespace

ProbeKernels probe_kernels_avx2() {
  return {.read = read<1>,
          .read_streams = read<4>,
          .fma = fma,
          .int8 = int8,
          .flop_per_round = kChains * 8 * 2,
          .int8_op_per_round = kChains * 32 * 2};
}

}  // namespace bantam::kernels

#pragma GCC pop_options
