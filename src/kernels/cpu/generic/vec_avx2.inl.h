// Vec, AVX2 + FMA + F16C: 16 fp32 lanes in two registers (low: lanes 0..7). Operation by operation the mirror of
// vec_generic.inl.h. Included once per compile unit, inside a target region and an unnamed namespace.
#define BANTAM_INLINE inline __attribute__((always_inline))

struct Vec {
  __m256 low, high;

  static BANTAM_INLINE Vec zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static BANTAM_INLINE Vec all(float x) {
    const __m256 v = _mm256_set1_ps(x);
    return {v, v};
  }
  static BANTAM_INLINE Vec load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static BANTAM_INLINE Vec load_first(const float* p, int64_t n) {
    alignas(32) float lane[16] = {};
    __builtin_memcpy(lane, p, static_cast<size_t>(n) * sizeof(float));
    return load(lane);
  }
  static BANTAM_INLINE Vec load(const uint16_t* f16) {
    return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(f16))),
            _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(f16 + 8)))};
  }
  BANTAM_INLINE void store(float* p) const {
    _mm256_storeu_ps(p, low);
    _mm256_storeu_ps(p + 8, high);
  }
  BANTAM_INLINE void store_first(float* p, int64_t n) const {
    alignas(32) float lane[16];
    store(lane);
    __builtin_memcpy(p, lane, static_cast<size_t>(n) * sizeof(float));
  }
  BANTAM_INLINE void store(uint16_t* f16) const {
    constexpr int kNearestEven = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    _mm_storeu_si128(reinterpret_cast<__m128i*>(f16), _mm256_cvtps_ph(low, kNearestEven));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(f16 + 8), _mm256_cvtps_ph(high, kNearestEven));
  }
  BANTAM_INLINE void store_rounded(int16_t* p) const {
    const __m256i halves = _mm256_packs_epi32(_mm256_cvtps_epi32(low), _mm256_cvtps_epi32(high));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(halves, 0xD8));
  }
};

// Fetches the line of p into the second cache level, here: between what computes x and what uses it. (The builtin has
// no place of its own; compilers gather several between loads.)
BANTAM_INLINE void fetch_beside(Vec& x, const void* p) {
  __asm__ volatile("prefetcht1 %1" : "+x"(x.low) : "m"(*static_cast<const char*>(p)));
}
BANTAM_INLINE Vec operator+(Vec a, Vec b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
BANTAM_INLINE Vec operator-(Vec a, Vec b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
BANTAM_INLINE Vec operator*(Vec a, Vec b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
BANTAM_INLINE Vec operator/(Vec a, Vec b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
BANTAM_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
BANTAM_INLINE Vec min(Vec a, Vec b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
BANTAM_INLINE Vec max(Vec a, Vec b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
BANTAM_INLINE Vec negate(Vec a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_xor_ps(a.low, sign), _mm256_xor_ps(a.high, sign)};
}
BANTAM_INLINE Vec select_first(int64_t n, Vec a, Vec b) {
  const __m256i count = _mm256_set1_epi32(static_cast<int>(n));
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i first = _mm256_cmpgt_epi32(count, index);
  const __m256i second = _mm256_cmpgt_epi32(count, _mm256_add_epi32(index, _mm256_set1_epi32(8)));
  return {_mm256_blendv_ps(b.low, a.low, _mm256_castsi256_ps(first)),
          _mm256_blendv_ps(b.high, a.high, _mm256_castsi256_ps(second))};
}

BANTAM_INLINE __m256 scale_half_by_power(__m256 p, __m256 shifted) {
  const __m256i n = _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(0x4B400000));
  const __m256i half = _mm256_srai_epi32(n, 1);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i a = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i b = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(n, half), bias), 23);
  return _mm256_mul_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(a)), _mm256_castsi256_ps(b));
}
BANTAM_INLINE Vec scale_by_power(Vec p, Vec /*n*/, Vec shifted) {
  return {scale_half_by_power(p.low, shifted.low), scale_half_by_power(p.high, shifted.high)};
}

BANTAM_INLINE float first_lane(Vec v) {
  return _mm256_cvtss_f32(v.low);
}
BANTAM_INLINE float sum_tree(Vec v) {
  const __m256 eight = _mm256_add_ps(v.low, v.high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
BANTAM_INLINE float max_tree(Vec v) {
  const __m256 eight = _mm256_max_ps(v.low, v.high);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}
