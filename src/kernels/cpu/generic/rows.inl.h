// The row kernels' one text; each table's compile unit includes it after its Vec, so that equal bits are a property of
// Vec's operations alone. Contracts: row_kernels.h. Tails of a row go through load_first / store_first: absent lanes
// are zeros and add nothing to a sum.

// sum of x[i]^2: 16 lanes by FMA, fixed tree.
inline float sum_of_squares(const float* x, int64_t n) {
  Vec sum = Vec::zero();
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const Vec v = Vec::load(x + i);
    sum = fma(v, v, sum);
  }
  if (i < n) {
    const Vec v = Vec::load_first(x + i, n - i);
    sum = fma(v, v, sum);
  }
  return sum_tree(sum);
}

inline float inverse_rms(const float* x, int64_t n, float eps) {
  return 1.0f / std::sqrt(sum_of_squares(x, n) / static_cast<float>(n) + eps);
}

void rms_norm(const float* x, const float* w, float eps, int64_t rows, int64_t n, float* out) {
  for (int64_t row = 0; row < rows; ++row, x += n, out += n) {
    const Vec scale = Vec::all(inverse_rms(x, n, eps));
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) (Vec::load(w + i) * (Vec::load(x + i) * scale)).store(out + i);
    if (i < n) (Vec::load_first(w + i, n - i) * (Vec::load_first(x + i, n - i) * scale)).store_first(out + i, n - i);
  }
}

// out_a = a c - b s, out_b = b c + a s.
struct Rotated {
  Vec a, b;
};
inline Rotated rotate(Vec a, Vec b, Vec cosine, Vec sine) {
  return {a * cosine + negate(b) * sine, b * cosine + a * sine};
}

inline void norm_rotate_head(const float* x, const float* norm, int64_t head_dim, float eps, const float* cos_sin,
                             float* out) {
  alignas(64) float normed[kMaxHeadDim];
  if (norm != nullptr) {
    rms_norm(x, norm, eps, 1, head_dim, normed);
  } else {
    std::memcpy(normed, x, static_cast<size_t>(head_dim) * sizeof(float));
  }
  const int64_t half = head_dim / 2;
  const float *second = normed + half, *sine = cos_sin + half;
  int64_t i = 0;
  for (; i + 16 <= half; i += 16) {
    const Rotated r = rotate(Vec::load(normed + i), Vec::load(second + i), Vec::load(cos_sin + i), Vec::load(sine + i));
    r.a.store(out + i);
    r.b.store(out + half + i);
  }
  if (i < half) {
    const int64_t n = half - i;
    const Rotated r = rotate(Vec::load_first(normed + i, n), Vec::load_first(second + i, n),
                             Vec::load_first(cos_sin + i, n), Vec::load_first(sine + i, n));
    r.a.store_first(out + i, n);
    r.b.store_first(out + half + i, n);
  }
}

void qk_norm_rope(const float* qkv, const float* q_norm, const float* k_norm, int64_t q_heads, int64_t kv_heads,
                  int64_t head_dim, float eps, const float* cos_sin, float* out) {
  for (int64_t h = 0; h < q_heads + kv_heads; ++h) {
    norm_rotate_head(qkv + h * head_dim, h < q_heads ? q_norm : k_norm, head_dim, eps, cos_sin, out + h * head_dim);
  }
  if (out != qkv) {
    const int64_t v = (q_heads + kv_heads) * head_dim;
    std::memcpy(out + v, qkv + v, static_cast<size_t>(kv_heads * head_dim) * sizeof(float));
  }
}

inline Vec silu_times(Vec gate, Vec up) {
  return gate / (Vec::all(1.0f) + exp(negate(gate))) * up;
}

void swiglu(const float* gate, const float* up, int64_t n, float* out) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) silu_times(Vec::load(gate + i), Vec::load(up + i)).store(out + i);
  if (i < n) silu_times(Vec::load_first(gate + i, n - i), Vec::load_first(up + i, n - i)).store_first(out + i, n - i);
}

void exp_shifted(const float* x, float shift, int64_t n, float* out) {
  const Vec s = Vec::all(shift);
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) exp(Vec::load(x + i) - s).store(out + i);
  if (i < n) exp(Vec::load_first(x + i, n - i) - s).store_first(out + i, n - i);
}

// Keys are scattered into columns 16 dimensions at a time, so the 16 lines being written stay in the first cache level
// over the page's tokens.
template <class T>
void kv_store_as(const float* k, const float* v, int64_t stride, int64_t n, int64_t first_slot, int64_t head_dim,
                 T* keys) {
  T* values = keys + head_dim * kPageTok;
  for (int64_t d = 0; d < head_dim; d += 16) {
    for (int64_t t = 0; t < n; ++t) {
      T rounded[16];
      Vec::load(k + t * stride + d).store(rounded);
      T* column = keys + d * kPageTok + first_slot + t;
      for (int64_t i = 0; i < 16; ++i) column[i * kPageTok] = rounded[i];
    }
  }
  for (int64_t t = 0; t < n; ++t) {
    for (int64_t d = 0; d < head_dim; d += 16) {
      Vec::load(v + t * stride + d).store(values + (first_slot + t) * head_dim + d);
    }
  }
}

// 32 values as codes of a quantised page; returns the scale's f16 bits.
template <bool kNibbles>
inline uint16_t code_block(const float* x, int16_t* codes) {
  const Vec low = Vec::load(x), high = Vec::load(x + 16), zero = Vec::zero();
  const float most = max_tree(max(low, high)), least = max_tree(max(negate(low), negate(high)));
  const float peak = most > least ? most : -least;  // the value of largest magnitude
  const uint16_t scale = f32_to_f16(kNibbles ? peak / -8.0f : (peak < 0 ? -peak : peak) / 127.0f);
  const float step = f16_to_f32(scale);
  const Vec inverse = Vec::all(step != 0 ? 1.0f / step : 0.0f);
  const Vec top = Vec::all(kNibbles ? 7.0f : 127.0f), bottom = Vec::all(kNibbles ? -8.0f : -127.0f);
  max(min(low * inverse, top), bottom).store_rounded(codes);
  max(min(high * inverse, top), bottom).store_rounded(codes + 16);
  constexpr uint16_t kNaN = 0x7E00;
  const float invalid = sum_tree(low * zero + high * zero);  // NaN where anything is not finite
  return invalid == 0 ? scale : kNaN;
}

// Bytes of a token that other tokens share do not exist (kv_layout.h), so only its own are written. A block of values
// that is not finite leaves its mark on the keys' scale: integers could not carry it into the output.
template <bool kNibbles>
void kv_store_codes(const float* k, const float* v, int64_t stride, int64_t n, int64_t first_slot, int64_t head_dim,
                    std::byte* head) {
  const KvPlanes planes = kv_planes(kNibbles ? DType::kQ4_0 : DType::kQ8_0, head_dim);
  auto* const bytes = reinterpret_cast<uint8_t*>(head);
  auto* const key_scales = reinterpret_cast<uint16_t*>(head + planes.key_scales);
  auto* const value_scales = reinterpret_cast<uint16_t*>(head + planes.value_scales);
  for (int64_t t = 0; t < n; ++t, k += stride, v += stride) {
    const int64_t slot = first_slot + t;
    for (int64_t d = 0; d < head_dim; d += kKvBlock) {
      int16_t key[kKvBlock], value[kKvBlock];
      uint16_t key_scale = code_block<kNibbles>(k + d, key);
      uint16_t value_scale = code_block<kNibbles>(v + d, value);
      if ((value_scale & 0x7C00) == 0x7C00) key_scale = 0x7E00, value_scale = 0;
      key_scales[d / kKvBlock * kPageTok + slot] = key_scale;
      value_scales[d / kKvBlock * kPageTok + slot] = value_scale;
      if constexpr (kNibbles) {
        uint8_t* to = bytes + (d / 8 * kPageTok + slot) * 4;
        for (int64_t i = 0; i < 16; ++i) {
          to[i / 4 * 4 * kPageTok + i % 4] =
              static_cast<uint8_t>((key[i / 4 * 8 + i % 4] + 8) | (key[i / 4 * 8 + 4 + i % 4] + 8) << 4);
        }
        to = bytes + planes.values + slot / 2 * head_dim + d + slot % 2;
        for (int64_t i = 0; i < 16; ++i) to[2 * i] = static_cast<uint8_t>((value[i] + 8) | (value[16 + i] + 8) << 4);
      } else {
        uint8_t* to = bytes + (d / 4 * kPageTok + slot) * 4;
        for (int64_t i = 0; i < kKvBlock; ++i) to[i / 4 * 4 * kPageTok + i % 4] = static_cast<uint8_t>(key[i] + 128);
        to = bytes + planes.values + (slot / 2 * head_dim + d) * 2 + slot % 2;
        for (int64_t i = 0; i < kKvBlock; ++i) to[2 * i] = static_cast<uint8_t>(value[i]);
      }
    }
  }
}

void kv_store(const float* k, const float* v, int64_t stride, int64_t n, int64_t first_slot, int64_t head_dim,
              DType dtype, std::byte* head) {
  if (dtype == DType::kF16) {
    kv_store_as(k, v, stride, n, first_slot, head_dim, reinterpret_cast<uint16_t*>(head));
  } else if (dtype == DType::kF32) {
    kv_store_as(k, v, stride, n, first_slot, head_dim, reinterpret_cast<float*>(head));
  } else if (dtype == DType::kQ8_0) {
    kv_store_codes<false>(k, v, stride, n, first_slot, head_dim, head);
  } else {
    kv_store_codes<true>(k, v, stride, n, first_slot, head_dim, head);
  }
}

void fill_rows(RowKernels& rows) {
  rows.rms_norm = rms_norm;
  rows.qk_norm_rope = qk_norm_rope;
  rows.swiglu = swiglu;
  rows.exp_shifted = exp_shifted;
  rows.kv_store = kv_store;
}
