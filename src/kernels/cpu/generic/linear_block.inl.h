// Unpacking one block of one row vector of a quantised tile, on top of an ISA's building blocks (linear_vec_*.inl.h).
// Included inside the anonymous namespace and target region of the vector tables.

BANTAM_INLINE void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }

// Codes of group G, as the ISA's dots want them. planes: this row vector's lanes of the block's first line.
template <DType T, int G>
BANTAM_INLINE VI load_code(const uint8_t* planes) {
  constexpr PackedFormat f = packed_format(T);
  if constexpr (f.bytes) return signed_codes(i_load(planes + 64 * G));
  VI code = i_set32(0);
  if constexpr (f.nibbles) {
    code = i_and(i_move_bits<(G < 4 ? 0 : -4)>(i_load(planes + 64 * (G % 4))), i_set8(0x0F));
    if constexpr (f.iq4) code = iq4_codes(code);
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
  if constexpr (f.group_blocks() == 8) {
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
  const uint8_t* sub = header + 64 + (kind == ScaleKind::kSub32 ? 16 : 32) * i;
  if constexpr (kind == ScaleKind::kD) {
    s.scale[0] = f_from_f16(header + 32 * i, part);
  } else if constexpr (kind == ScaleKind::kDMin) {
    s.scale[0] = f_from_f16(header, part);
    s.add[0] = f_from_f16(header + 32, part);
  } else if constexpr (kind == ScaleKind::kSubMin32) {
    s.scale[0] = f_mul(group.d, f_from_i(i_from_u8(sub, part)));
    s.add[0] = f_mul(group.neg_dmin, f_from_i(i_from_u8(sub + 16, part)));
  } else if constexpr (kind == ScaleKind::kSub32) {
    s.scale[0] = f_mul(group.d, f_from_i(i_from_s8(sub, part)));
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

// Sums of a token's block as floats, for the additive terms: sums[0] of all 32, or one per 16.
template <DType T>
BANTAM_INLINE void act_sums(const ActBlock* a, VF* sums) {
  constexpr PackedFormat f = packed_format(T);
  if constexpr (f.has_add()) {
    const VI pair = i_broadcast(a->sum);
    sums[0] = f_from_i(i_madd16(pair, i_pair(1, f.halves() == 1 ? 1 : 0)));
    if constexpr (f.halves() == 2) sums[1] = f_from_i(i_madd16(pair, i_pair(0, 1)));
  }
}

// total += t * d with t from the block's integer dots: the float order of linear_kernels.h.
template <DType T>
BANTAM_INLINE VF add_block(VF total, const VI* h, const VF* scale, const VF* add, const VF* sums, float d) {
  constexpr PackedFormat f = packed_format(T);
  VF t = f_mul(f_from_i(h[0]), scale[0]);
  if constexpr (f.halves() == 2) t = f_fma(f_from_i(h[1]), scale[1], t);
  if constexpr (f.has_add()) {
    t = f_fma(sums[0], add[0], t);
    if constexpr (f.halves() == 2) t = f_fma(sums[1], add[1], t);
  }
  return f_fma(t, f_set(d), total);
}

// Epilogue of one token's 16 totals of a tile (any table, any mode): bias, then residual.
inline void store_totals(const LinearJob& job, int64_t tile, int64_t token, const float* totals) {
  const int64_t first = tile * kTileRows;
  float* out = job.out + token * job.out_stride + first;
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
