// AVX2 building blocks of the linear kernels: a vector holds 8 rows, half a tile. Included inside an anonymous
// namespace and a target region with AVX2, FMA, F16C by linear_avx2.cpp, never by anything else.

#define BANTAM_INLINE inline __attribute__((always_inline))

constexpr int kLanes = 8;  // rows per vector
constexpr int kParts = 2;  // vectors per tile
constexpr int kEarlyTokens = 4;
using VF = __m256;
using VI = __m256i;

BANTAM_INLINE VF f_zero() {
  return _mm256_setzero_ps();
}
BANTAM_INLINE VF f_load(const float* p) {
  return _mm256_loadu_ps(p);
}
BANTAM_INLINE void f_store(float* p, VF v) {
  _mm256_storeu_ps(p, v);
}
BANTAM_INLINE VF f_set(float v) {
  return _mm256_set1_ps(v);
}
BANTAM_INLINE VF f_add(VF a, VF b) {
  return _mm256_add_ps(a, b);
}
BANTAM_INLINE VF f_mul(VF a, VF b) {
  return _mm256_mul_ps(a, b);
}
BANTAM_INLINE VF f_fma(VF a, VF b, VF c) {
  return _mm256_fmadd_ps(a, b, c);
}
BANTAM_INLINE VF f_neg(VF a) {
  return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f));
}
BANTAM_INLINE VF f_from_i(VI v) {
  return _mm256_cvtepi32_ps(v);
}
BANTAM_INLINE VF f_from_bits(VI v) {
  return _mm256_castsi256_ps(v);
}
// One value per row of this part, from the tile's 16 consecutive f16, unsigned or signed bytes.
BANTAM_INLINE VF f_from_f16(const uint8_t* p, int part) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p) + part));
}
BANTAM_INLINE VI i_from_u8(const uint8_t* p, int part) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 8 * part)));
}
BANTAM_INLINE VI i_from_s8(const uint8_t* p, int part) {
  return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 8 * part)));
}
// One value per row from f16 in the low halves of dwords.
BANTAM_INLINE VF f_from_f16_lanes(VI v) {
  return _mm256_cvtph_ps(_mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)));
}
// The six bits of every dword that have `left` bits above them, as a signed number.
BANTAM_INLINE VI i_signed6(VI v, int left) {
  return _mm256_srai_epi32(_mm256_sll_epi32(v, _mm_cvtsi32_si128(left)), 26);
}
// f8 e4m3 as an f16 with the same fields (2^-8 of the value; subnormals included), then exact scaling.
BANTAM_INLINE VF f_from_f8(const uint8_t* p, int part) {
  const __m128i b = _mm_cvtepu8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 8 * part)));
  const __m128i magnitude = _mm_and_si128(b, _mm_set1_epi16(0x7F));
  const __m128i sign = _mm_slli_epi16(_mm_and_si128(b, _mm_set1_epi16(0x80)), 8);
  const __m128i nan = _mm_cmpeq_epi16(magnitude, _mm_set1_epi16(0x7F));
  const __m128i half =
      _mm_or_si128(_mm_or_si128(_mm_slli_epi16(magnitude, 7), sign), _mm_and_si128(nan, _mm_set1_epi16(0x7E00)));
  return _mm256_mul_ps(_mm256_cvtph_ps(half), _mm256_set1_ps(256.0f));
}
BANTAM_INLINE VI i_load(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
BANTAM_INLINE void i_store(void* p, VI v) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), v);
}
BANTAM_INLINE VI i_set8(int v) {
  return _mm256_set1_epi8(static_cast<char>(v));
}
BANTAM_INLINE VI i_set32(int v) {
  return _mm256_set1_epi32(v);
}
// Two int16 in every dword: the form of ActBlock::sum.
BANTAM_INLINE VI i_pair(int low, int high) {
  return _mm256_set1_epi32((low & 0xFFFF) | high << 16);
}
BANTAM_INLINE VI i_and(VI a, VI b) {
  return _mm256_and_si256(a, b);
}
BANTAM_INLINE VI i_madd16(VI a, VI b) {
  return _mm256_madd_epi16(a, b);
}
BANTAM_INLINE VI i_sub8(VI a, VI b) {
  return _mm256_sub_epi8(a, b);
}
template <int N>
BANTAM_INLINE VI i_shr32(VI a) {
  return _mm256_srli_epi32(a, N);
}
template <int N>
BANTAM_INLINE VI i_shl32(VI a) {
  return _mm256_slli_epi32(a, N);
}
// Bits move within their byte; the caller masks what crosses. REQUIRES: |left| < 8; negative moves right.
template <int Left>
BANTAM_INLINE VI i_move_bits(VI a) {
  if constexpr (Left > 0) return _mm256_slli_epi16(a, Left);
  if constexpr (Left < 0) return _mm256_srli_epi16(a, -Left);
  return a;
}
// (a & mask) | b
BANTAM_INLINE VI i_merge(VI a, VI mask, VI b) {
  return _mm256_or_si256(_mm256_and_si256(a, mask), b);
}
BANTAM_INLINE VI i_broadcast(const void* four_bytes) {
  int v;
  __builtin_memcpy(&v, four_bytes, 4);
  return _mm256_set1_epi32(v);
}

// Codes of up to 6 bits are unsigned; 8-bit ones (q8_0, iq4) are signed and need no offset.
template <DType T>
constexpr bool kSigned = packed_format(T).bits == 8;
template <DType T>
constexpr int kOffset = kSigned<T> ? 0 : packed_format(T).offset;
BANTAM_INLINE VI signed_codes(VI bytes) {
  return bytes;
}
BANTAM_INLINE VI iq4_codes(VI nibbles) {
  const __m128i table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(quant::kIq4Values));
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), nibbles);
}
BANTAM_INLINE VI bq4_codes(VI nibbles) {
  const __m128i table = _mm_load_si128(reinterpret_cast<const __m128i*>(quant::kBq4Codes.data()));
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), nibbles);
}
// 2^24 times byte I of every dword, as a signed number: the byte moves to the top, nothing need be extended.
template <int I>
BANTAM_INLINE VF f_from_byte(VI bytes) {
  if constexpr (I == 0) return f_from_i(i_shl32<24>(bytes));
  if constexpr (I == 3) return f_from_i(i_and(bytes, i_set32(static_cast<int>(0xFF000000u))));
  const __m128i to_top = _mm_setr_epi8(-1, -1, -1, I, -1, -1, -1, I + 4, -1, -1, -1, I + 8, -1, -1, -1, I + 12);
  return f_from_i(_mm256_shuffle_epi8(bytes, _mm256_broadcastsi128_si256(to_top)));
}

// Integer dots by vpmaddubsw: pairs of products in int16, which may be added up over kRun groups of 4 k before they
// must be widened: 2 * (2^bits - 1) * 127 * kRun <= 32767 holds for 4 bits x 8 groups (30480), 5 x 4 (31496), 6 x 2
// (32004). Signed codes go as |w| times a with w's sign: 2 * 128 * 127 = 32512 fits once (|-128| = 128 as an unsigned
// byte, and activations never reach -128, so their negation is exact).
template <DType T>
constexpr int kRun = packed_format(T).bits <= 4   ? 8 / packed_format(T).halves()
                     : packed_format(T).bits == 5 ? 4
                     : packed_format(T).bits == 6 ? 2
                                                  : 1;
template <DType T>
BANTAM_INLINE VI products16(VI codes, VI magnitudes, VI acts) {
  if constexpr (kSigned<T>) return _mm256_maddubs_epi16(magnitudes, _mm256_sign_epi8(acts, codes));
  return _mm256_maddubs_epi16(codes, acts);
}
template <DType T>
BANTAM_INLINE VI magnitudes_of(VI codes) {
  if constexpr (kSigned<T>) return _mm256_abs_epi8(codes);
  return codes;
}
// The empty asm pins each sum: GCC 12 would rebalance chains of additions and spill every product to the stack.
BANTAM_INLINE VI i_add16(VI a, VI b) {
  VI sum = _mm256_add_epi16(a, b);
  asm("" : "+x"(sum));
  return sum;
}
BANTAM_INLINE VI i_add32(VI a, VI b) {
  VI sum = _mm256_add_epi32(a, b);
  asm("" : "+x"(sum));
  return sum;
}
BANTAM_INLINE VI i_widen(VI pairs) {
  return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

BANTAM_INLINE uint32_t max_u32(__m256i v) {
  __m128i m = _mm_max_epu32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0x4E));
  m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0xB1));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(m));
}
BANTAM_INLINE int sum_i32(__m256i v) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1));
  return _mm_cvtsi128_si32(s);
}

// One block of activations: see ActBlock. Same IEEE operations as the generic table.
BANTAM_INLINE void quantize_block(const float* x, ActBlock* out) {
  __m256 v[4];
  __m256i peaks = _mm256_setzero_si256();
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    v[i] = _mm256_loadu_ps(x + 8 * i);
    peaks = _mm256_max_epu32(peaks, _mm256_and_si256(_mm256_castps_si256(v[i]), _mm256_set1_epi32(0x7FFFFFFF)));
  }
  const uint32_t peak_bits = max_u32(peaks);
  const float peak = __builtin_bit_cast(float, peak_bits);
  const bool finite = peak_bits < 0x7F800000u, usable = finite && peak >= kMinPeak;
  const __m256 inverse = _mm256_set1_ps(usable ? 127.0f / peak : 0.0f);
  // Without `usable` the products may be NaN: the mask keeps their conversion (0x80000000) out.
  const __m256i keep = _mm256_set1_epi32(usable ? -1 : 0);
  __m256i q[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) q[i] = _mm256_and_si256(_mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse)), keep);
  const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out->q), _mm256_permutevar8x32_epi32(packed, order));
  out->d = usable ? peak / 127.0f : finite ? 0.0f : __builtin_nanf("");
  out->sum[0] = static_cast<int16_t>(sum_i32(_mm256_add_epi32(q[0], q[1])));
  out->sum[1] = static_cast<int16_t>(sum_i32(_mm256_add_epi32(q[2], q[3])));
}
