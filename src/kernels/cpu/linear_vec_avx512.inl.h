// AVX-512 building blocks of the linear kernels: a vector holds the 16 rows of one tile. Included inside an anonymous
// namespace and a target region with AVX-512 F, BW, DQ, VL, VNNI by linear_avx512*.cpp, never by anything else.

#define BANTAM_INLINE inline __attribute__((always_inline))

constexpr int kLanes = 16;  // rows per vector
constexpr int kParts = 1;   // vectors per tile
constexpr int kEarlyTokens = 5;
using VF = __m512;
using VI = __m512i;

BANTAM_INLINE VF f_zero() {
  return _mm512_setzero_ps();
}
BANTAM_INLINE VF f_load(const float* p) {
  return _mm512_loadu_ps(p);
}
BANTAM_INLINE void f_store(float* p, VF v) {
  _mm512_storeu_ps(p, v);
}
BANTAM_INLINE VF f_set(float v) {
  return _mm512_set1_ps(v);
}
BANTAM_INLINE VF f_add(VF a, VF b) {
  return _mm512_add_ps(a, b);
}
BANTAM_INLINE VF f_mul(VF a, VF b) {
  return _mm512_mul_ps(a, b);
}
BANTAM_INLINE VF f_fma(VF a, VF b, VF c) {
  return _mm512_fmadd_ps(a, b, c);
}
BANTAM_INLINE VF f_neg(VF a) {
  return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f));
}
BANTAM_INLINE VF f_from_i(VI v) {
  return _mm512_cvtepi32_ps(v);
}
BANTAM_INLINE VF f_from_bits(VI v) {
  return _mm512_castsi512_ps(v);
}
// One value per row of this part, from 16 consecutive f16, unsigned or signed bytes.
BANTAM_INLINE VF f_from_f16(const uint8_t* p, int) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
BANTAM_INLINE VI i_from_u8(const uint8_t* p, int) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
BANTAM_INLINE VI i_from_s8(const uint8_t* p, int) {
  return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
// One value per row from f16 in the low halves of dwords.
BANTAM_INLINE VF f_from_f16_lanes(VI v) {
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v));
}
// The six bits of every dword that have `left` bits above them, as a signed number.
BANTAM_INLINE VI i_signed6(VI v, int left) {
  return _mm512_srai_epi32(_mm512_sll_epi32(v, _mm_cvtsi32_si128(left)), 26);
}
// f8 e4m3 as an f16 with the same fields (2^-8 of the value; subnormals included), then exact scaling.
BANTAM_INLINE VF f_from_f8(const uint8_t* p, int) {
  const __m256i b = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  const __m256i magnitude = _mm256_and_si256(b, _mm256_set1_epi16(0x7F));
  const __m256i sign = _mm256_slli_epi16(_mm256_and_si256(b, _mm256_set1_epi16(0x80)), 8);
  const __m256i nan = _mm256_cmpeq_epi16(magnitude, _mm256_set1_epi16(0x7F));
  const __m256i half = _mm256_or_si256(_mm256_or_si256(_mm256_slli_epi16(magnitude, 7), sign),
                                       _mm256_and_si256(nan, _mm256_set1_epi16(0x7E00)));
  return _mm512_mul_ps(_mm512_cvtph_ps(half), _mm512_set1_ps(256.0f));
}
BANTAM_INLINE VI i_load(const void* p) {
  return _mm512_loadu_si512(p);
}
BANTAM_INLINE void i_store(void* p, VI v) {
  _mm512_storeu_si512(p, v);
}
BANTAM_INLINE VI i_set8(int v) {
  return _mm512_set1_epi8(static_cast<char>(v));
}
BANTAM_INLINE VI i_set32(int v) {
  return _mm512_set1_epi32(v);
}
// Two int16 in every dword: the form of ActBlock::sum.
BANTAM_INLINE VI i_pair(int low, int high) {
  return _mm512_set1_epi32((low & 0xFFFF) | high << 16);
}
BANTAM_INLINE VI i_and(VI a, VI b) {
  return _mm512_and_si512(a, b);
}
BANTAM_INLINE VI i_madd16(VI a, VI b) {
  return _mm512_madd_epi16(a, b);
}
BANTAM_INLINE VI i_sub8(VI a, VI b) {
  return _mm512_sub_epi8(a, b);
}
template <int N>
BANTAM_INLINE VI i_shr32(VI a) {
  return _mm512_srli_epi32(a, N);
}
template <int N>
BANTAM_INLINE VI i_shl32(VI a) {
  return _mm512_slli_epi32(a, N);
}
// Bits move within their byte; the caller masks what crosses. REQUIRES: |left| < 8; negative moves right.
template <int Left>
BANTAM_INLINE VI i_move_bits(VI a) {
  if constexpr (Left > 0) return _mm512_slli_epi16(a, Left);
  if constexpr (Left < 0) return _mm512_srli_epi16(a, -Left);
  return a;
}
// (a & mask) | b
BANTAM_INLINE VI i_merge(VI a, VI mask, VI b) {
  return _mm512_ternarylogic_epi32(a, mask, b, 0xEA);
}
BANTAM_INLINE VI i_broadcast(const void* four_bytes) {
  int v;
  __builtin_memcpy(&v, four_bytes, 4);
  return _mm512_set1_epi32(v);
}

// Codes are unsigned bytes for vpdpbusd: signed ones (q8_0, iq4) are stored plus 128 and that is their offset.
template <DType T>
constexpr int kOffset = packed_format(T).bits == 8 ? 128 : packed_format(T).offset;
BANTAM_INLINE VI signed_codes(VI bytes) {
  return _mm512_xor_si512(bytes, i_set8(0x80));
}
BANTAM_INLINE VI iq4_codes(VI nibbles) {
  constexpr const int8_t* v = quant::kIq4Values;
  alignas(16) static constexpr uint8_t table[16] = {
      static_cast<uint8_t>(v[0] + 128),  static_cast<uint8_t>(v[1] + 128),  static_cast<uint8_t>(v[2] + 128),
      static_cast<uint8_t>(v[3] + 128),  static_cast<uint8_t>(v[4] + 128),  static_cast<uint8_t>(v[5] + 128),
      static_cast<uint8_t>(v[6] + 128),  static_cast<uint8_t>(v[7] + 128),  static_cast<uint8_t>(v[8] + 128),
      static_cast<uint8_t>(v[9] + 128),  static_cast<uint8_t>(v[10] + 128), static_cast<uint8_t>(v[11] + 128),
      static_cast<uint8_t>(v[12] + 128), static_cast<uint8_t>(v[13] + 128), static_cast<uint8_t>(v[14] + 128),
      static_cast<uint8_t>(v[15] + 128)};
  const __m128i lane = _mm_load_si128(reinterpret_cast<const __m128i*>(table));
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(lane), nibbles);
}
BANTAM_INLINE VI bq4_codes(VI nibbles) {
  const __m128i lane = _mm_load_si128(reinterpret_cast<const __m128i*>(quant::kBq4Codes.data()));
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(lane), nibbles);
}
// 2^24 times byte I of every dword, as a signed number: the byte moves to the top, nothing need be extended.
template <int I>
BANTAM_INLINE VF f_from_byte(VI bytes) {
  if constexpr (I == 0) return f_from_i(i_shl32<24>(bytes));
  if constexpr (I == 3) return f_from_i(i_and(bytes, i_set32(static_cast<int>(0xFF000000u))));
  const __m128i to_top = _mm_setr_epi8(-1, -1, -1, I, -1, -1, -1, I + 4, -1, -1, -1, I + 8, -1, -1, -1, I + 12);
  return f_from_i(_mm512_shuffle_epi8(bytes, _mm512_broadcast_i32x4(to_top)));
}

// h += codes of one group . 4 activations
BANTAM_INLINE VI i_dot4(VI h, VI codes, VI acts) {
  return _mm512_dpbusd_epi32(h, codes, acts);
}

// One block of activations: see ActBlock. Same IEEE operations as the generic table.
BANTAM_INLINE void quantize_block(const float* x, ActBlock* out) {
  const __m512 low = _mm512_loadu_ps(x), high = _mm512_loadu_ps(x + 16);
  const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF);
  const __m512i peaks = _mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(low), magnitude),
                                         _mm512_and_si512(_mm512_castps_si512(high), magnitude));
  const uint32_t peak_bits = _mm512_reduce_max_epu32(peaks);
  const float peak = __builtin_bit_cast(float, peak_bits);
  const bool finite = peak_bits < 0x7F800000u, usable = finite && peak >= kMinPeak;
  const __m512 inverse = _mm512_set1_ps(usable ? 127.0f / peak : 0.0f);
  // Without `usable` the products may be NaN: the mask keeps their conversion (0x80000000) out.
  const __mmask16 keep = usable ? 0xFFFF : 0;
  const __m512i a = _mm512_maskz_cvtps_epi32(keep, _mm512_mul_ps(low, inverse));
  const __m512i b = _mm512_maskz_cvtps_epi32(keep, _mm512_mul_ps(high, inverse));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out->q), _mm512_cvtepi32_epi8(a));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out->q + 16), _mm512_cvtepi32_epi8(b));
  out->d = usable ? peak / 127.0f : finite ? 0.0f : __builtin_nanf("");
  out->sum[0] = static_cast<int16_t>(_mm512_reduce_add_epi32(a));
  out->sum[1] = static_cast<int16_t>(_mm512_reduce_add_epi32(b));
}
