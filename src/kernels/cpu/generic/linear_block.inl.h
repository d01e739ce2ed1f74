// Unpacking one block of one row vector of a quantised tile, on top of an ISA's building blocks (linear_vec_*.inl.h).
// Included inside the anonymous namespace and target region of the vector tables.

BANTAM_INLINE void prefetch(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
}
// Every line of Bytes bytes from p on. Prefetching past the end of a matrix is harmless.
template <int Bytes, _mm_hint Hint = _MM_HINT_T0>
BANTAM_INLINE void prefetch_lines(const uint8_t* p) {
  _mm_prefetch(reinterpret_cast<const char*>(p), Hint);
  if constexpr (Bytes > 64) prefetch_lines<Bytes - 64, Hint>(p + 64);
}

// Codes of group G, as the ISA's dots want them. planes: this row vector's lanes of the block's first line.
template <DType T, int G>
BANTAM_INLINE VI load_code(const uint8_t* planes) {
  constexpr PackedFormat f = packed_format(T);
  if constexpr (f.bytes) return signed_codes(i_load(planes + 64 * G));
  VI code = i_set32(0);
  if constexpr (f.nibbles) {
    code = i_and(i_move_bits<(G < 4 ? 0 : -4)>(i_load(planes + 64 * (G % 4))), i_set8(0x0F));
    if constexpr (f.iq4) code = iq4_codes(code);
    if constexpr (f.bq4) code = bq4_codes(code);
    planes += 256;
  }
  if constexpr (f.twos >= 0) {
    const VI bits = i_move_bits<f.twos - 2 * (G % 4)>(i_load(planes + 64 * (G / 4))), mask = i_set8(3 << f.twos);
    code = f.nibbles ? i_merge(bits, mask, code) : i_and(bits, mask);
    planes += 128;
  }
  if constexpr (f.ones >= 0) code = i_merge(i_move_bits<f.ones - G>(i_load(planes)), i_set8(1 << f.ones), code);
  return code;
}
template <DType T, int G = 0>
BANTAM_INLINE void load_codes(const uint8_t* planes, VI* c) {
  c[G] = load_code<T, G>(planes);
  if constexpr (G < 7) load_codes<T, G + 1>(planes, c);
}

// What a group header gives all its blocks.
struct GroupScales {
  VF d, neg_dmin;
};
struct BlockScales {
  VF scale[2], add[2];
};

template <DType T>
BANTAM_INLINE GroupScales load_group(const uint8_t* header, int part) {
  constexpr PackedFormat f = packed_format(T);
  GroupScales group{f_zero(), f_zero()};
  if constexpr (f.has_words()) {
    const VI low = i_load(header + part * kLanes * 4), high = i_load(header + 64 + part * kLanes * 4);
    group.d = f_from_f16_lanes(i_merge(i_shr32<16>(high), i_set32(0xFF00), i_shr32<24>(low)));
  } else if constexpr (f.group_blocks() == 8) {
    group.d = f_from_f16(header, part);
    if constexpr (f.has_add()) group.neg_dmin = f_neg(f_from_f16(header + 32, part));
  }
  return group;
}

// Scales of block i of a group. The products are exact (linear_kernels.h), so negating dmin first changes nothing.
template <DType T>
BANTAM_INLINE BlockScales load_scales(const GroupScales& group, const uint8_t* header, int64_t i, int part) {
  constexpr ScaleKind kind = packed_format(T).scales;
  BlockScales s{{f_zero(), f_zero()}, {f_zero(), f_zero()}};
  const uint8_t* sub = header + 64 + 32 * i;
  if constexpr (kind == ScaleKind::kD) {
    s.scale[0] = f_from_f16(header + 32 * i, part);
  } else if constexpr (kind == ScaleKind::kDMin) {
    s.scale[0] = f_from_f16(header, part);
    s.add[0] = f_from_f16(header + 32, part);
  } else if constexpr (kind == ScaleKind::kSubMin32) {
    s.scale[0] = f_mul(group.d, f_from_i(i_from_u8(sub, part)));
    s.add[0] = f_mul(group.neg_dmin, f_from_i(i_from_u8(sub + 16, part)));
  } else if constexpr (packed_format(T).has_words()) {
    constexpr int halves = packed_format(T).halves();
    const VI word = i_load(header + 64 * (i * halves / 4) + part * kLanes * 4);
    const int left = static_cast<int>(26 - 6 * (i * halves % 4));
    s.scale[0] = f_mul(group.d, f_from_i(i_signed6(word, left)));
    if constexpr (halves == 2) s.scale[1] = f_mul(group.d, f_from_i(i_signed6(word, left - 6)));
  } else if constexpr (kind == ScaleKind::kSub16) {
    s.scale[0] = f_mul(group.d, f_from_i(i_from_s8(sub, part)));
    s.scale[1] = f_mul(group.d, f_from_i(i_from_s8(sub + 16, part)));
  } else {
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const VI both = i_from_u8(sub + 16 * h, part);
      s.scale[h] = f_mul(group.d, f_from_i(i_and(both, i_set32(15))));
      s.add[h] = f_mul(group.neg_dmin, f_from_i(i_shr32<4>(both)));
    }
  }
  return s;
}

// Sum of a token's block, or of its half, as a float: for the additive terms.
template <DType T, int Half>
BANTAM_INLINE VF act_sum(const ActBlock* a) {
  constexpr bool whole = packed_format(T).halves() == 1;
  return f_from_i(i_madd16(i_broadcast(a->sum), i_pair(whole || Half == 0, whole || Half == 1)));
}

// -offset * (sum of a token's block or half) as int16 pairs: what an integer dot starts from, beside kMagicBits.
template <DType T, int Half>
BANTAM_INLINE VI offset_pair() {
  constexpr bool whole = packed_format(T).halves() == 1;
  return i_pair(whole || Half == 0 ? -kOffset<T> : 0, whole || Half == 1 ? -kOffset<T> : 0);
}

// Scales of a block or half in the form of linear_kernels.h: `shift` is -(kMagic * scale).
struct UnitScales {
  VF scale, shift, add;
};
BANTAM_INLINE VF shift_of(VF scale) {
  return f_mul(scale, f_set(-kMagic));
}

// total += (h * scale + sum * add) * d, where h_bits are the bits of kMagic + h; sum matters to additive terms only.
template <DType T>
BANTAM_INLINE VF add_unit(VF total, VI h_bits, const UnitScales& s, VF sum, float d) {
  VF t = f_fma(f_from_bits(h_bits), s.scale, s.shift);
  if constexpr (packed_format(T).has_add()) t = f_fma(sum, s.add, t);
  return f_fma(t, f_set(d), total);
}
template <DType T, int Half>
BANTAM_INLINE VF add_unit(VF total, VI h_bits, const UnitScales& s, const ActBlock* a) {
  if constexpr (packed_format(T).has_add()) return add_unit<T>(total, h_bits, s, act_sum<T, Half>(a), a->d);
  return add_unit<T>(total, h_bits, s, s.scale, a->d);
}

// What a token's sum of activations means to a unit, made once for all tiles from kEarlyTokens on: the bits of the
// float sum for additive terms, of kMagic - offset * sum where codes have an offset.
template <DType T, int M>
constexpr bool kEarlySums = M >= kEarlyTokens && (packed_format(T).has_add() || kOffset<T> != 0);
template <DType T, int M>
constexpr bool kEarlyStarts = kEarlySums<T, M> && !packed_format(T).has_add();
template <DType T>
constexpr int64_t early_sums_bytes(int64_t blocks, int64_t m) {
  return blocks * packed_format(T).halves() * m * 4;
}
// to: [blocks][halves][M]
template <DType T, int M>
void make_early_sums(const LinearJob& job, int32_t* to) {
  static_assert(!packed_format(T).has_add() || kOffset<T> == 0);
  for (int64_t b = 0; b < job.weight.cols / kBlock; ++b) {
    for (int h = 0; h < packed_format(T).halves(); ++h) {
      for (int m = 0; m < M; ++m) {
        const int16_t* of = job.q[m * job.q_stride + b].sum;
        const int32_t sum = packed_format(T).halves() == 2 ? of[h] : of[0] + of[1];
        *to++ = packed_format(T).has_add() ? __builtin_bit_cast(int32_t, static_cast<float>(sum))
                                           : kMagicBits - kOffset<T> * sum;
      }
    }
  }
}

// Fetches the lines of `out` that tokens [token, token + tokens) of `tiles` tiles are going to be stored to: rows lie
// far apart, and often on few cache sets.
inline void prefetch_outputs(const LinearJob& job, int64_t tile, int64_t tiles, int64_t token, int64_t tokens) {
  const float* out = job.out + token * job.out_stride + (tile - job.out_tile) * kTileRows;
  for (int64_t m = 0; m < tokens; ++m, out += job.out_stride) {
    for (int64_t t = 0; t < tiles; ++t) prefetch(out + t * kTileRows);
  }
}

// Epilogue of one token's 16 totals of a tile (any table, any mode): bias, then residual.
inline void store_totals(const LinearJob& job, int64_t tile, int64_t token, const float* totals) {
  const int64_t first = tile * kTileRows;
  float* out = job.out + token * job.out_stride + first - job.out_tile * kTileRows;
  const float* bias = job.bias == nullptr ? nullptr : job.bias + first;
  const float* residual = job.residual == nullptr ? nullptr : job.residual + token * job.residual_stride + first;
  if (job.weight.rows - first >= kTileRows) {
#pragma GCC unroll 2
    for (int part = 0; part < kParts; ++part) {
      const int at = part * kLanes;
      VF v = f_load(totals + at);
      if (bias != nullptr) v = f_add(v, f_load(bias + at));
      if (residual != nullptr) v = f_add(f_load(residual + at), v);
      f_store(out + at, v);
    }
    return;
  }
  for (int64_t r = 0; r < job.weight.rows - first; ++r) {
    float v = totals[r];
    if (bias != nullptr) v = v + bias[r];
    if (residual != nullptr) v = residual[r] + v;
    out[r] = v;
  }
}
