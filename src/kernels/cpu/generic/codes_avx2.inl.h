// Integer dots over KV codes, AVX2: 16 lanes of int32 in two registers. vpmaddubsw takes |code| unsigned and the query
// with the code's sign, so that no pair of products leaves 16 bits (128 * 127 * 2); nibbles are unsigned as they are.
// Included after vec_avx2.inl.h.
struct Ints {
  __m256i low, high;
};
struct KeyCodes {
  __m256i low, high;            // q8_0: signed; q4_0: unsigned
  __m256i low_size, high_size;  // q8_0: magnitudes
};
struct ValueCodes {
  __m256i low, high;  // 16-bit
};

BANTAM_INLINE void fetch_beside(Ints& x, const void* p) {
  __asm__ volatile("prefetcht1 %1" : "+x"(x.low) : "m"(*static_cast<const char*>(p)));
}
BANTAM_INLINE Ints zero_ints() {
  return {_mm256_setzero_si256(), _mm256_setzero_si256()};
}
template <bool kNibbles>
BANTAM_INLINE Ints first_sum(int32_t correction) {
  if constexpr (!kNibbles) return zero_ints();
  const __m256i all = _mm256_set1_epi32(correction);
  return {all, all};
}
template <bool kNibbles>
BANTAM_INLINE KeyCodes load_keys(const uint8_t* p, int half) {
  __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32));
  if constexpr (kNibbles) {
    const __m256i mask = _mm256_set1_epi8(15);
    if (half != 0) low = _mm256_srli_epi16(low, 4), high = _mm256_srli_epi16(high, 4);
    low = _mm256_and_si256(low, mask);
    high = _mm256_and_si256(high, mask);
    return {low, high, low, high};
  }
  const __m256i offset = _mm256_set1_epi8(-128);
  low = _mm256_xor_si256(low, offset);
  high = _mm256_xor_si256(high, offset);
  return {low, high, _mm256_abs_epi8(low), _mm256_abs_epi8(high)};
}
template <bool kNibbles>
BANTAM_INLINE Ints dot4(Ints sum, const KeyCodes& k, const int8_t* q) {
  int32_t four;
  __builtin_memcpy(&four, q, 4);
  const __m256i all = _mm256_set1_epi32(four), ones = _mm256_set1_epi16(1);
  const __m256i low_q = kNibbles ? all : _mm256_sign_epi8(all, k.low);
  const __m256i high_q = kNibbles ? all : _mm256_sign_epi8(all, k.high);
  return {_mm256_add_epi32(sum.low, _mm256_madd_epi16(_mm256_maddubs_epi16(k.low_size, low_q), ones)),
          _mm256_add_epi32(sum.high, _mm256_madd_epi16(_mm256_maddubs_epi16(k.high_size, high_q), ones))};
}
template <bool kNibbles>
BANTAM_INLINE ValueCodes load_values(const uint8_t* p, int half) {
  __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16));
  if constexpr (kNibbles) {
    const __m128i mask = _mm_set1_epi8(15), offset = _mm_set1_epi8(8);
    if (half != 0) low = _mm_srli_epi16(low, 4), high = _mm_srli_epi16(high, 4);
    low = _mm_sub_epi8(_mm_and_si128(low, mask), offset);
    high = _mm_sub_epi8(_mm_and_si128(high, mask), offset);
  }
  return {_mm256_cvtepi8_epi16(low), _mm256_cvtepi8_epi16(high)};
}
BANTAM_INLINE Ints dot2(Ints sum, const ValueCodes& v, const int16_t* p) {
  int32_t two;
  __builtin_memcpy(&two, p, 4);
  const __m256i all = _mm256_set1_epi32(two);
  return {_mm256_add_epi32(sum.low, _mm256_madd_epi16(v.low, all)),
          _mm256_add_epi32(sum.high, _mm256_madd_epi16(v.high, all))};
}
BANTAM_INLINE Vec to_float(const Ints& x) {
  return {_mm256_cvtepi32_ps(x.low), _mm256_cvtepi32_ps(x.high)};
}
