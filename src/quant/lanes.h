// Four-lane float arithmetic for the quantisers' searches. Plain IEEE operations in a fixed order, so the codes an
// encoder writes are the same on every CPU (SSE2 is part of baseline x86-64; elsewhere the same lanes in plain code).
// Included by the fit_*.h headers only. Stateless; thread-safe.
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <cstring>

namespace bantam::quant {

using F4 = float __attribute__((vector_size(16)));

inline F4 splat(float v) {
  return F4{v, v, v, v};
}
inline F4 load4(const float* p) {
  F4 v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store4(float* p, F4 v) {
  std::memcpy(p, &v, sizeof v);
}
// REQUIRES: no NaN among the operands.
inline F4 min4(F4 a, F4 b) {
#ifdef __SSE2__
  return _mm_min_ps(a, b);
#else
  return a < b ? a : b;
#endif
}
inline F4 max4(F4 a, F4 b) {
#ifdef __SSE2__
  return _mm_max_ps(a, b);
#else
  return a > b ? a : b;
#endif
}
inline float sum4(F4 v) {
  return (v[0] + v[2]) + (v[1] + v[3]);
}
// To the nearest integer, ties to even, by pushing the fraction out of the mantissa. REQUIRES: |v| < 2^22.
inline F4 round4(F4 v) {
  const F4 magic = splat(0x1.8p23f);
  return (v + magic) - magic;
}

}  // namespace bantam::quant
