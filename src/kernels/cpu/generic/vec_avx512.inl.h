// Vec, AVX-512: 16 fp32 lanes in one register. Operation by operation the mirror of vec_generic.inl.h. Included once
// per compile unit, inside a target region and an unnamed namespace.
#define BANTAM_INLINE inline __attribute__((always_inline))

BANTAM_INLINE __mmask16 first_lanes(int64_t n) {
  return n >= 16 ? __mmask16{0xFFFF} : static_cast<__mmask16>((1u << (n < 0 ? 0 : n)) - 1);
}

struct Vec {
  __m512 v;

  static BANTAM_INLINE Vec zero() { return {_mm512_setzero_ps()}; }
  static BANTAM_INLINE Vec all(float x) { return {_mm512_set1_ps(x)}; }
  static BANTAM_INLINE Vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static BANTAM_INLINE Vec load_first(const float* p, int64_t n) { return {_mm512_maskz_loadu_ps(first_lanes(n), p)}; }
  static BANTAM_INLINE Vec load(const uint16_t* f16) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(f16)))};
  }
  BANTAM_INLINE void store(float* p) const { _mm512_storeu_ps(p, v); }
  BANTAM_INLINE void store_first(float* p, int64_t n) const { _mm512_mask_storeu_ps(p, first_lanes(n), v); }
  BANTAM_INLINE void store(uint16_t* f16) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(f16),
                        _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  BANTAM_INLINE void store_rounded(int16_t* p) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(v)));
  }
};

// Fetches the line of p into the second cache level, here: between what computes x and what uses it. (The builtin has
// no place of its own; compilers gather several between loads.)
BANTAM_INLINE void fetch_beside(Vec& x, const void* p) {
  __asm__ volatile("prefetcht1 %1" : "+v"(x.v) : "m"(*static_cast<const char*>(p)));
}
BANTAM_INLINE Vec operator+(Vec a, Vec b) {
  return {_mm512_add_ps(a.v, b.v)};
}
BANTAM_INLINE Vec operator-(Vec a, Vec b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
BANTAM_INLINE Vec operator*(Vec a, Vec b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
BANTAM_INLINE Vec operator/(Vec a, Vec b) {
  return {_mm512_div_ps(a.v, b.v)};
}
BANTAM_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
BANTAM_INLINE Vec min(Vec a, Vec b) {
  return {_mm512_min_ps(a.v, b.v)};
}
BANTAM_INLINE Vec max(Vec a, Vec b) {
  return {_mm512_max_ps(a.v, b.v)};
}
BANTAM_INLINE Vec negate(Vec a) {
  return {_mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(a.v), _mm512_set1_epi32(INT32_MIN)))};
}
BANTAM_INLINE Vec select_first(int64_t n, Vec a, Vec b) {
  return {_mm512_mask_mov_ps(b.v, first_lanes(n), a.v)};
}

// vscalefps rounds p * 2^n once, as the two products of the other tables do (their first is exact).
BANTAM_INLINE Vec scale_by_power(Vec p, Vec n, Vec /*shifted*/) {
  return {_mm512_scalef_ps(p.v, n.v)};
}

BANTAM_INLINE float first_lane(Vec v) {
  return _mm512_cvtss_f32(v.v);
}
BANTAM_INLINE float sum_tree(Vec v) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v.v), _mm512_extractf32x8_ps(v.v, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
BANTAM_INLINE float max_tree(Vec v) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(v.v), _mm512_extractf32x8_ps(v.v, 1));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}
