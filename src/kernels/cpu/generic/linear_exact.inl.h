// The exact kernels of a vector table: fp32 activations, weights dequantised as quant/ does, one FMA chain per output
// and block of 32. Included inside the anonymous namespace and target region of linear_avx*.cpp.
//
// Float types with few tokens: linear_stream_floats.inl.h. Everything else fills a panel [k][16] of kExactBlocks blocks
// with f32 weights, then all tokens pass over it in register tiles of kExactVectors row vectors x up to 6 tokens: in
// AVX-512 4 x 6, 10 loads per 24 FMAs, against 8 per 12 in 2 x 6. With one or two tokens several blocks run side by
// side: a block is a chain of 32 dependent FMAs.

constexpr int kExactVectors = kParts == 1 ? 4 : 2;   // row vectors per register tile
constexpr int kExactTiles = kExactVectors / kParts;  // tiles per panel
constexpr int64_t kExactBlocks = 4;
constexpr int64_t kExactStride = kExactVectors * kLanes;                   // floats between tokens' totals
constexpr int64_t kExactPanelFloats = kExactBlocks * kBlock * kTileRows;   // of one tile
constexpr int64_t kVectorStep = kParts == 1 ? kExactPanelFloats : kLanes;  // between row vectors of a panel

// Element k + Odd of a float tile, one row vector. REQUIRES: k even (bf16 tiles hold pairs).
template <DType T, int Odd>
BANTAM_INLINE VF load_weight(const uint8_t* tile, int64_t k, int part) {
  if constexpr (T == DType::kF32)
    return f_load(reinterpret_cast<const float*>(tile) + (k + Odd) * kTileRows + part * kLanes);
  if constexpr (T == DType::kF16) return f_from_f16(tile + (k + Odd) * 2 * kTileRows, part);
  if constexpr (T == DType::kF8E4M3) return f_from_f8(tile + (k + Odd) * kTileRows, part);
  if constexpr (T == DType::kBF16) {
    const VI pair = i_load(tile + k / 2 * 4 * kTileRows + part * kLanes * 4);
    return f_from_bits(Odd ? i_and(pair, i_set32(static_cast<int>(0xFFFF0000u))) : i_shl32<16>(pair));
  }
}

// Where weights come from: element k + Odd (from the current block's first) of row vector r; k is even.
struct PanelWeights {
  const float* panel;
  template <int Odd>
  BANTAM_INLINE VF load(int64_t k, int r) const {
    return f_load(panel + r * kVectorStep + (k + Odd) * kTileRows);
  }
};
template <DType T>
struct TileWeights {
  const uint8_t* tile;
  const float* f8_scales;  // of this tile's rows, or null
  int64_t first;
  template <int Odd>
  BANTAM_INLINE VF load(int64_t k, int r) const {
    const VF w = load_weight<T, Odd>(tile, first + k, r);
    if constexpr (T == DType::kF8E4M3) {
      if (f8_scales != nullptr) return f_mul(w, f_set(f8_scales[(first + k) / 128]));
    }
    return w;
  }
};

// sum += element k + Odd of C blocks.
template <int Odd, int R, int N, int C>
BANTAM_INLINE void add_products(PanelWeights w, const float* x, int64_t x_stride, int64_t k, VF (&sum)[C][R][N]) {
#pragma GCC unroll 4
  for (int c = 0; c < C; ++c) {
    VF v[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) v[r] = w.template load<Odd>(c * kBlock + k, r);
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
      const VF a = f_set(x[n * x_stride + c * kBlock + k + Odd]);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) sum[c][r][n] = f_fma(v[r], a, sum[c][r][n]);
    }
  }
}

// totals [N][kExactStride] += the sums of C blocks of `count` k each, blocks in order. REQUIRES: count == 32 if C > 1.
template <int R, int N, int C>
BANTAM_INLINE void add_blocks(PanelWeights w, const float* x, int64_t x_stride, int64_t count, float* totals) {
  VF sum[C][R][N];
#pragma GCC unroll 24
  for (int i = 0; i < C * R * N; ++i) sum[i / (R * N)][i / N % R][i % N] = f_zero();
  if constexpr (R * N >= 8) {  // the next register tile's activations
#pragma GCC unroll 6
    for (int n = 0; n < N; ++n) {
      prefetch(x + (N + n) * x_stride);
      prefetch(x + (N + n) * x_stride + 16);
    }
  }
  int64_t k = 0;
  // AVX-512, 8 k per round: 4 % of time at M = 8, 2 % at 512. Not measured on AVX2, whose registers are fewer.
  if constexpr (kParts == 1 && R * N >= 8 && R * N <= 12) {
    for (; k + 8 <= count; k += 8) {
#pragma GCC unroll 4
      for (int64_t i = 0; i < 8; i += 2) {
        add_products<0, R, N, C>(w, x, x_stride, k + i, sum);
        add_products<1, R, N, C>(w, x, x_stride, k + i, sum);
      }
    }
  }
  for (; k + 2 <= count; k += 2) {
    add_products<0, R, N, C>(w, x, x_stride, k, sum);
    add_products<1, R, N, C>(w, x, x_stride, k, sum);
  }
  if (k < count) add_products<0, R, N, C>(w, x, x_stride, k, sum);
#pragma GCC unroll 4
  for (int c = 0; c < C; ++c) {
#pragma GCC unroll 24
    for (int i = 0; i < R * N; ++i) {
      float* total = totals + i % N * kExactStride + i / N * kLanes;
      f_store(total, f_add(f_load(total), sum[c][i / N][i % N]));
    }
  }
  // Totals stay in memory: without this GCC carries them through the loop over blocks in registers that the sums need.
  if constexpr (R * N * kParts > 12) asm volatile("" : : : "memory");
}

// `count` k from the start of w, as whole blocks (C at a time while they last) and a shorter one at the end.
template <int R, int N>
void add_run(PanelWeights w, const float* x, int64_t x_stride, int64_t count, float* totals) {
  constexpr int C = R * N <= 2 ? 4 : R * N <= 4 ? 2 : 1;
  int64_t k = 0;
  for (; k + C * kBlock <= count; k += C * kBlock) {
    add_blocks<R, N, C>({w.panel + k * kTileRows}, x + k, x_stride, kBlock, totals);
  }
  for (; k < count; k += kBlock) {
    add_blocks<R, N, 1>({w.panel + k * kTileRows}, x + k, x_stride, count - k < kBlock ? count - k : kBlock, totals);
  }
}

template <int R, int N>
void add_tokens(PanelWeights w, const float* x, int64_t x_stride, int64_t count, int64_t tokens, float* totals) {
  if constexpr (N > 1) {
    if (tokens < N) return add_tokens<R, N - 1>(w, x, x_stride, count, tokens, totals);
  }
  add_run<R, N>(w, x, x_stride, count, totals);
}

// All tokens over one panel of `count` k, in register tiles of nearly equal height; before and after each, ahead(token,
// tokens) and finished(token, tokens) are called.
template <int R, class Ahead, class Finished>
void exact_pass(const float* panel, int64_t vectors, const float* x, int64_t x_stride, int64_t count, int64_t tokens,
                float* totals, const Ahead& ahead, const Finished& finished) {
  if constexpr (R > kParts) {
    if (vectors < R) {
      return exact_pass<R - kParts>(panel, vectors, x, x_stride, count, tokens, totals, ahead, finished);
    }
  }
  const int64_t tiles = (tokens + 5) / 6;
  for (int64_t i = 0, done = 0; i < tiles; ++i) {
    const int64_t height = (tokens - done + tiles - i - 1) / (tiles - i);
    ahead(done, height);
    add_tokens<R, 6>({panel}, x + done * x_stride, x_stride, count, height, totals + done * kExactStride);
    finished(done, height);
    done += height;
  }
}

// Weights of group G..7 of a block, dequantised: (code - offset) * scale, or code * scale + add where the product is
// exact, so that the FMA rounds once as quant/ does. s: with scales times 2^-24, f_from_byte's inverse.
template <DType T, int G = 0, int I = 0>
BANTAM_INLINE void store_weights(const VI* codes, const BlockScales& s, float* out) {
  constexpr PackedFormat f = packed_format(T);
  constexpr int half = f.halves() == 2 ? G / 4 : 0;
  VI bytes = codes[G];
  if constexpr (kOffset<T> != 0) bytes = i_sub8(bytes, i_set8(kOffset<T>));
  const VF value = f_from_byte<I>(bytes);
  f_store(out + (4 * G + I) * kTileRows,
          f.has_add() ? f_fma(value, s.scale[half], s.add[half]) : f_mul(value, s.scale[half]));
  if constexpr (I < 3) {
    store_weights<T, G, I + 1>(codes, s, out);
  } else if constexpr (G < 7) {
    store_weights<T, G + 1, 0>(codes, s, out);
  }
}

// out [count][16] = weights k_begin .. k_begin + count of one tile. REQUIRES: k_begin a multiple of 32.
template <DType T>
void fill_panel(const PackedMatrix& matrix, const float* f8_scales, int64_t tile, int64_t k_begin, int64_t count,
                float* out) {
  const uint8_t* packed = tile_at(matrix, tile, tile_bytes(T, matrix.cols));
  for (int part = 0; part < kParts; ++part) {
    if constexpr (info(T).is_quant) {
      constexpr PackedFormat f = packed_format(T);
      for (int64_t b = k_begin / kBlock; b < (k_begin + count) / kBlock; ++b) {
        const uint8_t* header = packed + f.header_at(b);
        if (part == 0) prefetch_lines<f.code_bytes()>(packed + f.codes_at(b + 8));
        VI codes[8];
        load_codes<T>(packed + f.codes_at(b) + part * kLanes * 4, codes);
        BlockScales s = load_scales<T>(load_group<T>(header, part), header, b % f.group_blocks(), part);
        for (VF& scale : s.scale) scale = f_mul(scale, f_set(0x1p-24f));
        store_weights<T>(codes, s, out + (b * kBlock - k_begin) * kTileRows + part * kLanes);
      }
    } else {
      const TileWeights<T> w{packed, f8_scales, k_begin};
      float* to = out + part * kLanes;
      int64_t k = 0;
      for (; k + 2 <= count; k += 2) {
        f_store(to + k * kTileRows, w.template load<0>(k, part));
        f_store(to + (k + 1) * kTileRows, w.template load<1>(k, part));
      }
      if (k < count) f_store(to + k * kTileRows, w.template load<0>(k, part));
    }
  }
}

template <DType T>
const float* f8_scales_of(const PackedMatrix& m, int64_t tile) {
  return m.f8_scales == nullptr ? nullptr : m.f8_scales + tile * kTileRows / 128 * ((m.cols + 127) / 128);
}

// Fetches into L2 the part of the panel from k on that falls to tokens [token, token + height) of `tokens`, so that it
// is read while the panel before is multiplied.
template <DType T>
void prefetch_panel(const PackedMatrix& matrix, int64_t tile, int64_t tiles, int64_t k, int64_t token, int64_t height,
                    int64_t tokens) {
  constexpr int64_t k_bytes = kTileRows * info(T).block_bytes, lines = kExactBlocks * kBlock * k_bytes / 64;
  const int64_t bytes = tile_bytes(T, matrix.cols), end = (token + height) * tiles * lines / tokens;
  for (int64_t line = token * tiles * lines / tokens; line < end; ++line) {
    const uint8_t* from = tile_at(matrix, tile + line / lines, bytes) + k * k_bytes + line % lines * 64;
    _mm_prefetch(reinterpret_cast<const char*>(from), _MM_HINT_T1);
  }
}

// One panel's tiles for tokens [first, first + tokens), tokens <= kLinearTokens.
template <DType T>
void exact_group(const LinearJob& job, int64_t tile, int64_t tiles, int64_t first, int64_t tokens, std::byte* scratch) {
  static_assert((kExactTiles * kExactPanelFloats + kLinearTokens * kExactStride) * 4 <= kLinearScratchBytes);
  auto* totals = reinterpret_cast<float*>(scratch);
  float* panel = totals + kLinearTokens * kExactStride;
  const int64_t cols = job.weight.cols;
  __builtin_memset(totals, 0, static_cast<size_t>(tokens * kExactStride * 4));
  for (int64_t k = 0; k < cols; k += kExactBlocks * kBlock) {
    const int64_t count = cols - k < kExactBlocks * kBlock ? cols - k : kExactBlocks * kBlock;
    for (int64_t t = 0; t < tiles; ++t) {
      fill_panel<T>(job.weight, f8_scales_of<T>(job.weight, tile + t), tile + t, k, count,
                    panel + t * kExactPanelFloats);
    }
    const float* x = job.x + first * job.x_stride + k;
    const bool last = k + count >= cols;
    const auto ahead = [&](int64_t token, int64_t height) {
      if (last) prefetch_outputs(job, tile, tiles, first + token, height);
      if constexpr (info(T).is_float) prefetch_panel<T>(job.weight, tile, tiles, k + count, token, height, tokens);
    };
    // Outputs are stored while later tokens are multiplied, which hides their misses.
    const auto finished = [&](int64_t token, int64_t height) {
      if (!last) return;
      for (int64_t m = token; m < token + height; ++m) {
        for (int64_t t = 0; t < tiles; ++t) {
          store_totals(job, tile + t, first + m, totals + m * kExactStride + t * kTileRows);
        }
      }
    };
    exact_pass<kExactVectors>(panel, tiles * kParts, x, job.x_stride, count, tokens, totals, ahead, finished);
  }
}

#include "kernels/cpu/generic/linear_stream_floats.inl.h"

template <DType T>
void run_exact(const LinearJob& job, int64_t tile_begin, int64_t tile_end, std::byte* scratch) {
  if constexpr (info(T).is_float) {
    if (job.m >= 1 && job.m <= kStreamFloatTokens) {
      return stream_floats<T, kStreamFloatTokens>(job, tile_begin, tile_end);
    }
  }
  // Few tokens wait for the weights: four tiles side by side are 5 % slower to read than two (M = 1, from memory).
  const int64_t most = job.m <= 8 && kExactTiles > 2 ? 2 : kExactTiles;
  for (int64_t tile = tile_begin, tiles; tile < tile_end; tile += tiles) {
    const int64_t left = tile_end - tile, panels = (left + most - 1) / most;
    tiles = (left + panels - 1) / panels;
    for (int64_t first = 0; first < job.m; first += kLinearTokens) {
      const int64_t tokens = job.m - first < kLinearTokens ? job.m - first : kLinearTokens;
      exact_group<T>(job, tile, tiles, first, tokens, scratch);
    }
  }
}

void run_exact_any(const LinearJob& job, int64_t tile_begin, int64_t tile_end, std::byte* scratch) {
  switch (job.weight.dtype) {
    case DType::kF32:
      return run_exact<DType::kF32>(job, tile_begin, tile_end, scratch);
    case DType::kF16:
      return run_exact<DType::kF16>(job, tile_begin, tile_end, scratch);
    case DType::kBF16:
      return run_exact<DType::kBF16>(job, tile_begin, tile_end, scratch);
    case DType::kF8E4M3:
      return run_exact<DType::kF8E4M3>(job, tile_begin, tile_end, scratch);
    case DType::kQ8_0:
      return run_exact<DType::kQ8_0>(job, tile_begin, tile_end, scratch);
    case DType::kQ4_0:
      return run_exact<DType::kQ4_0>(job, tile_begin, tile_end, scratch);
    case DType::kQ4_1:
      return run_exact<DType::kQ4_1>(job, tile_begin, tile_end, scratch);
    case DType::kQ5_0:
      return run_exact<DType::kQ5_0>(job, tile_begin, tile_end, scratch);
    case DType::kQ5_1:
      return run_exact<DType::kQ5_1>(job, tile_begin, tile_end, scratch);
    case DType::kQ2_K:
      return run_exact<DType::kQ2_K>(job, tile_begin, tile_end, scratch);
    case DType::kQ3_K:
      return run_exact<DType::kQ3_K>(job, tile_begin, tile_end, scratch);
    case DType::kQ4_K:
      return run_exact<DType::kQ4_K>(job, tile_begin, tile_end, scratch);
    case DType::kQ5_K:
      return run_exact<DType::kQ5_K>(job, tile_begin, tile_end, scratch);
    case DType::kQ6_K:
      return run_exact<DType::kQ6_K>(job, tile_begin, tile_end, scratch);
    case DType::kIQ4_NL:
      return run_exact<DType::kIQ4_NL>(job, tile_begin, tile_end, scratch);
    case DType::kBQ4:
      return run_exact<DType::kBQ4>(job, tile_begin, tile_end, scratch);
    default:
      return run_exact<DType::kIQ4_XS>(job, tile_begin, tile_end, scratch);
  }
}
