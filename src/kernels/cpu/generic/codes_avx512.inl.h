// Integer dots over KV codes, AVX-512 VNNI: 16 lanes of int32 in one register. vpdpbusd takes the key codes unsigned,
// as they are stored; the sum starts from the correction for their offset. Included after vec_avx512.inl.h.
struct Ints {
  __m512i v;
};
struct KeyCodes {
  __m512i v;  // unsigned
};
struct ValueCodes {
  __m512i v;  // 16-bit
};

BANTAM_INLINE void fetch_beside(Ints& x, const void* p) {
  __asm__ volatile("prefetcht1 %1" : "+v"(x.v) : "m"(*static_cast<const char*>(p)));
}
BANTAM_INLINE Ints zero_ints() {
  return {_mm512_setzero_si512()};
}
template <bool kNibbles>
BANTAM_INLINE Ints first_sum(int32_t correction) {
  return {_mm512_set1_epi32(correction)};
}
template <bool kNibbles>
BANTAM_INLINE KeyCodes load_keys(const uint8_t* p, int half) {
  __m512i codes = _mm512_loadu_si512(p);
  if constexpr (kNibbles) {
    if (half != 0) codes = _mm512_srli_epi16(codes, 4);
    codes = _mm512_and_si512(codes, _mm512_set1_epi8(15));
  }
  return {codes};
}
template <bool kNibbles>
BANTAM_INLINE Ints dot4(Ints sum, KeyCodes k, const int8_t* q) {
  int32_t four;
  __builtin_memcpy(&four, q, 4);
  const __m512i all = _mm512_set1_epi32(four);
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum.v) : "v"(k.v), "v"(all));
  return sum;
}
template <bool kNibbles>
BANTAM_INLINE ValueCodes load_values(const uint8_t* p, int half) {
  const __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  if constexpr (kNibbles) {  // widened first: both halves share that
    const __m512i wide = _mm512_cvtepu8_epi16(codes);
    const __m512i code = half != 0 ? _mm512_srli_epi16(wide, 4) : _mm512_and_si512(wide, _mm512_set1_epi16(15));
    return {_mm512_sub_epi16(code, _mm512_set1_epi16(8))};
  }
  return {_mm512_cvtepi8_epi16(codes)};
}
BANTAM_INLINE Ints dot2(Ints sum, ValueCodes v, const int16_t* p) {
  int32_t two;
  __builtin_memcpy(&two, p, 4);
  const __m512i all = _mm512_set1_epi32(two);
  __asm__("vpdpwssd %2, %1, %0" : "+v"(sum.v) : "v"(v.v), "v"(all));
  return sum;
}
BANTAM_INLINE Vec to_float(Ints x) {
  return {_mm512_cvtepi32_ps(x.v)};
}
