// Integer dots over KV codes, generic: 16 lanes of int32 in an array, the mirror of codes_avx2.inl.h and
// codes_avx512.inl.h. All are exact, so equal whatever instruction makes them. Included after vec_generic.inl.h.
struct Ints {
  int32_t lane[16];
};
// Key codes of 16 tokens x 4 dimensions, signed.
struct KeyCodes {
  int8_t code[64];
};
// Value codes of 16 dimensions x 2 tokens, widened.
struct ValueCodes {
  int16_t code[32];
};

BANTAM_INLINE void fetch_beside(Ints& /*x*/, const void* p) {
  __builtin_prefetch(p, 0, 2);
}
inline Ints zero_ints() {
  return {};
}
// What a sum of dots with key codes starts from; correction = -offset * (sum of the queries' codes), for tables whose
// dots take the codes unsigned as they are stored.
template <bool kNibbles>
inline Ints first_sum(int32_t /*correction*/) {
  return {};
}
template <bool kNibbles>
inline KeyCodes load_keys(const uint8_t* p, int half) {
  KeyCodes k;
  for (int i = 0; i < 64; ++i) {
    k.code[i] = static_cast<int8_t>(kNibbles ? (half == 0 ? p[i] & 15 : p[i] >> 4) - 8 : p[i] - 128);
  }
  return k;
}
// sum[t] += sum over i < 4 of code (t, i) * byte i of q.
template <bool kNibbles>
inline Ints dot4(Ints sum, const KeyCodes& k, const int8_t* q) {
  for (int t = 0; t < 16; ++t) {
    for (int i = 0; i < 4; ++i) sum.lane[t] += k.code[4 * t + i] * q[i];
  }
  return sum;
}
template <bool kNibbles>
inline ValueCodes load_values(const uint8_t* p, int half) {
  ValueCodes v;
  for (int i = 0; i < 32; ++i) {
    v.code[i] = static_cast<int16_t>(kNibbles ? (half == 0 ? p[i] & 15 : p[i] >> 4) - 8 : static_cast<int8_t>(p[i]));
  }
  return v;
}
// sum[d] += code (d, 0) * p[0] + code (d, 1) * p[1].
inline Ints dot2(Ints sum, const ValueCodes& v, const int16_t* p) {
  for (int d = 0; d < 16; ++d) sum.lane[d] += v.code[2 * d] * p[0] + v.code[2 * d + 1] * p[1];
  return sum;
}
inline Vec to_float(const Ints& x) {
  Vec r;
  for (int i = 0; i < 16; ++i) r.lane[i] = static_cast<float>(x.lane[i]);
  return r;
}
