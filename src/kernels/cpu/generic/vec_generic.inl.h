// Vec, generic: 16 virtual fp32 lanes in an array, the mirror of vec_avx2.inl.h and vec_avx512.inl.h operation by
// operation. Included once per compile unit, inside an unnamed namespace, after every standard header.
#define BANTAM_INLINE inline

struct Vec {
  float lane[16];

  static Vec zero() { return all(0.0f); }
  static Vec all(float x) {
    Vec r;
    for (float& f : r.lane) f = x;
    return r;
  }
  static Vec load(const float* p) {
    Vec r;
    std::memcpy(r.lane, p, sizeof r.lane);
    return r;
  }
  // The first n lanes from p, zeros beyond. n in [1, 16].
  static Vec load_first(const float* p, int64_t n) {
    Vec r = zero();
    std::memcpy(r.lane, p, static_cast<size_t>(n) * sizeof(float));
    return r;
  }
  static Vec load(const uint16_t* f16) {
    Vec r;
    for (int i = 0; i < 16; ++i) r.lane[i] = f16_to_f32(f16[i]);
    return r;
  }
  void store(float* p) const { std::memcpy(p, lane, sizeof lane); }
  void store_first(float* p, int64_t n) const { std::memcpy(p, lane, static_cast<size_t>(n) * sizeof(float)); }
  void store(uint16_t* f16) const {
    for (int i = 0; i < 16; ++i) f16[i] = f32_to_f16(lane[i]);
  }
  // Rounded to nearest even. REQUIRES: |lane| < 32768; what a NaN becomes is not defined.
  void store_rounded(int16_t* p) const {
    for (int i = 0; i < 16; ++i) p[i] = static_cast<int16_t>(std::bit_cast<uint32_t>(lane[i] + 0x1.8p23f) & 0xFFFF);
  }
};

#define BANTAM_LANEWISE(expression)                    \
  Vec r;                                               \
  for (int i = 0; i < 16; ++i) r.lane[i] = expression; \
  return r
// See the other tables: there the fetch has its place between the arithmetic on x.
BANTAM_INLINE void fetch_beside(Vec& /*x*/, const void* p) {
  __builtin_prefetch(p, 0, 2);
}
inline Vec operator+(Vec a, Vec b) {
  BANTAM_LANEWISE(a.lane[i] + b.lane[i]);
}
inline Vec operator-(Vec a, Vec b) {
  BANTAM_LANEWISE(a.lane[i] - b.lane[i]);
}
inline Vec operator*(Vec a, Vec b) {
  BANTAM_LANEWISE(a.lane[i] * b.lane[i]);
}
inline Vec operator/(Vec a, Vec b) {
  BANTAM_LANEWISE(a.lane[i] / b.lane[i]);
}
// a * b + c, rounded once.
inline Vec fma(Vec a, Vec b, Vec c) {
  BANTAM_LANEWISE(std::fma(a.lane[i], b.lane[i], c.lane[i]));
}
// As minps and maxps: b when either is a NaN.
inline Vec min(Vec a, Vec b) {
  BANTAM_LANEWISE(a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]);
}
inline Vec max(Vec a, Vec b) {
  BANTAM_LANEWISE(a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]);
}
inline Vec negate(Vec a) {
  BANTAM_LANEWISE(-a.lane[i]);
}
// Lanes [0, n) from a, the others from b.
inline Vec select_first(int64_t n, Vec a, Vec b) {
  BANTAM_LANEWISE(i < n ? a.lane[i] : b.lane[i]);
}
#undef BANTAM_LANEWISE

// p * 2^n rounded once, n integral in [-160, 140] and shifted = n + 1.5 * 2^23, p in [0.5, 2].
inline Vec scale_by_power(Vec p, Vec /*n*/, Vec shifted) {
  Vec r;
  for (int i = 0; i < 16; ++i) {
    const int32_t n = static_cast<int32_t>(std::bit_cast<uint32_t>(shifted.lane[i]) - 0x4B400000u);
    const int32_t half = n >> 1;
    const float a = std::bit_cast<float>(static_cast<uint32_t>(half + 127) << 23);
    const float b = std::bit_cast<float>(static_cast<uint32_t>(n - half + 127) << 23);
    r.lane[i] = p.lane[i] * a * b;  // the first product is exact
  }
  return r;
}

inline float first_lane(const Vec& v) {
  return v.lane[0];
}
// The fixed tree: halves added until one is left.
inline float sum_tree(Vec v) {
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) v.lane[i] = v.lane[i] + v.lane[i + width];
  }
  return v.lane[0];
}
inline float max_tree(Vec v) {
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) v.lane[i] = v.lane[i] > v.lane[i + width] ? v.lane[i] : v.lane[i + width];
  }
  return v.lane[0];
}
