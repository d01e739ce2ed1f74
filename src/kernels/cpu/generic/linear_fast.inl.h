// The fast kernels of a vector table, for one quantised type T. Included inside the anonymous namespace and target
// region of linear_avx*.cpp after linear_stream.inl.h and the ISA's panel_dots.
//
// Up to 8 tokens: linear_stream.inl.h. More: a panel of kPanelBlocks blocks x kGroupTiles tiles is unpacked once into
// scratch (L1), then all tokens pass over it in register tiles; running totals of every token wait in scratch between
// panels. Per 16 rows x 32 k x 1 token on AVX-512: 8 vpdpbusd + 2 FMA (+2 for scales per 16, +1 per additive term).

constexpr int64_t kPanelBlocks = 16;

// One block of one row vector in a panel: codes of 8 groups, then scales (UnitScales).
template <DType T>
struct PanelBlock {
  static constexpr PackedFormat f = packed_format(T);
  alignas(kLanes * 4) uint8_t codes[8][kLanes * 4];
  float scale[f.halves()][kLanes], shift[f.halves()][kLanes];
  float add[f.has_add() ? f.halves() : 1][kLanes];
};

template <DType T>
void unpack_panel(const uint8_t* tile, int64_t block_begin, int64_t count, int part, PanelBlock<T>* out) {
  constexpr PackedFormat f = packed_format(T);
  for (int64_t n = 0; n < count; ++n) {
    const int64_t b = block_begin + n;
    const uint8_t* header = tile + f.header_at(b);
    if (part == 0) prefetch_lines<f.code_bytes()>(tile + f.codes_at(b + kPanelBlocks));  // for the next panel
    VI codes[8];
    load_codes<T>(tile + f.codes_at(b) + part * kLanes * 4, codes);
    const BlockScales s = load_scales<T>(load_group<T>(header, part), header, b % f.group_blocks(), part);
#pragma GCC unroll 8
    for (int g = 0; g < 8; ++g) i_store(out[n].codes[g], codes[g]);
    for (int h = 0; h < f.halves(); ++h) {
      f_store(out[n].scale[h], s.scale[h]);
      f_store(out[n].shift[h], shift_of(s.scale[h]));
      if constexpr (f.has_add()) f_store(out[n].add[h], s.add[h]);
    }
  }
}

// Totals of tokens [0, tokens) += the panel's part of their dots. Tokens go in register tiles of nearly equal height;
// before and after each, ahead(token, tokens) and finished(token, tokens) are called.
template <DType T, int R, class Ahead, class Finished>
void panel_pass(const PanelBlock<T>* panel, int64_t blocks, const ActBlock* acts, int64_t stride, int64_t tokens,
                float* totals, const Ahead& ahead, const Finished& finished) {
  constexpr int64_t most = kRegisterTokens<T>;
  const int64_t tiles = (tokens + most - 1) / most;
  for (int64_t i = 0, done = 0; i < tiles; ++i) {
    const int64_t count = (tokens - done + tiles - i - 1) / (tiles - i);
    const ActBlock* a = acts + done * stride;
    float* to = totals + done * kTotalsStride;
    ahead(done, count);
    switch (count) {
      case 1:
        panel_dots<T, R, 1>(panel, blocks, a, stride, to);
        break;
      case 2:
        panel_dots<T, R, 2>(panel, blocks, a, stride, to);
        break;
      case 3:
        panel_dots<T, R, 3>(panel, blocks, a, stride, to);
        break;
      case 4:
        panel_dots<T, R, 4>(panel, blocks, a, stride, to);
        break;
      case 5:
        if constexpr (most >= 5) panel_dots<T, R, 5>(panel, blocks, a, stride, to);
        break;
      default:
        if constexpr (most >= 6) panel_dots<T, R, 6>(panel, blocks, a, stride, to);
        break;
    }
    finished(done, count);
    done += count;
  }
}

// One tile group (1 or 2 tiles) for tokens [first, first + tokens), tokens <= kLinearTokens.
template <DType T>
void panel_group(const LinearJob& job, int64_t tile, int64_t tiles, int64_t first, int64_t tokens, std::byte* scratch) {
  static_assert(kGroupTiles * kParts * kPanelBlocks * sizeof(PanelBlock<T>) + kLinearTokens * kTotalsStride * 4 <=
                kLinearScratchBytes);
  auto* totals = reinterpret_cast<float*>(scratch);
  auto* panel = reinterpret_cast<PanelBlock<T>*>(scratch + kLinearTokens * kTotalsStride * 4);
  const int64_t blocks = job.weight.cols / kBlock, bytes = tile_bytes(T, job.weight.cols);
  __builtin_memset(totals, 0, static_cast<size_t>(tokens * kTotalsStride * 4));
  for (int64_t b = 0; b < blocks; b += kPanelBlocks) {
    const int64_t count = blocks - b < kPanelBlocks ? blocks - b : kPanelBlocks;
    for (int64_t v = 0; v < tiles * kParts; ++v) {
      unpack_panel<T>(tile_at(job.weight, tile + v / kParts, bytes), b, count, static_cast<int>(v % kParts),
                      panel + v * kPanelBlocks);
    }
    const ActBlock* acts = job.q + first * job.q_stride + b;
    const bool last = b + kPanelBlocks >= blocks;
    const auto ahead = [&](int64_t token, int64_t height) {
      if (last) prefetch_outputs(job, tile, tiles, first + token, height);
    };
    // Outputs are stored while later tokens are multiplied, which hides their misses.
    const auto finished = [&](int64_t token, int64_t height) {
      if (!last) return;
      for (int64_t m = token; m < token + height; ++m) {
        for (int64_t t = 0; t < tiles; ++t) {
          store_totals(job, tile + t, first + m, totals + m * kTotalsStride + t * kTileRows);
        }
      }
    };
    const auto nothing = [](int64_t, int64_t) {};
    if (kFastVectors > 1 && tiles * kParts == kFastVectors) {
      panel_pass<T, kFastVectors>(panel, count, acts, job.q_stride, tokens, totals, ahead, finished);
      continue;
    }
    for (int64_t v = 0; v < tiles * kParts - 1; ++v) {
      panel_pass<T, 1>(panel + v * kPanelBlocks, count, acts, job.q_stride, tokens, totals + v * kLanes, nothing,
                       nothing);
    }
    const int64_t v = tiles * kParts - 1;
    panel_pass<T, 1>(panel + v * kPanelBlocks, count, acts, job.q_stride, tokens, totals + v * kLanes, ahead, finished);
  }
}

template <DType T>
void run_fast(const LinearJob& job, int64_t tile_begin, int64_t tile_end, std::byte* scratch) {
  switch (job.m) {
    case 0:
      return;
    case 1:
      return stream_tokens<T, 1>(job, tile_begin, tile_end, scratch);
    case 2:
      return stream_tokens<T, 2>(job, tile_begin, tile_end, scratch);
    case 3:
      return stream_tokens<T, 3>(job, tile_begin, tile_end, scratch);
    case 4:
      return stream_tokens<T, 4>(job, tile_begin, tile_end, scratch);
    case 5:
      return stream_tokens<T, 5>(job, tile_begin, tile_end, scratch);
    case 6:
      return stream_tokens<T, 6>(job, tile_begin, tile_end, scratch);
    case 7:
      return stream_tokens<T, 7>(job, tile_begin, tile_end, scratch);
    case 8:
      return stream_tokens<T, 8>(job, tile_begin, tile_end, scratch);
    default:
      break;
  }
  for (int64_t tile = tile_begin; tile < tile_end; tile += kGroupTiles) {
    const int64_t tiles = tile_end - tile < kGroupTiles ? tile_end - tile : kGroupTiles;
    for (int64_t first = 0; first < job.m; first += kLinearTokens) {
      const int64_t tokens = job.m - first < kLinearTokens ? job.m - first : kLinearTokens;
      panel_group<T>(job, tile, tiles, first, tokens, scratch);
    }
  }
}

void run_fast_any(const LinearJob& job, int64_t tile_begin, int64_t tile_end, std::byte* scratch) {
  switch (job.weight.dtype) {
    case DType::kQ8_0:
      return run_fast<DType::kQ8_0>(job, tile_begin, tile_end, scratch);
    case DType::kQ4_0:
      return run_fast<DType::kQ4_0>(job, tile_begin, tile_end, scratch);
    case DType::kQ4_1:
      return run_fast<DType::kQ4_1>(job, tile_begin, tile_end, scratch);
    case DType::kQ5_0:
      return run_fast<DType::kQ5_0>(job, tile_begin, tile_end, scratch);
    case DType::kQ5_1:
      return run_fast<DType::kQ5_1>(job, tile_begin, tile_end, scratch);
    case DType::kQ2_K:
      return run_fast<DType::kQ2_K>(job, tile_begin, tile_end, scratch);
    case DType::kQ3_K:
      return run_fast<DType::kQ3_K>(job, tile_begin, tile_end, scratch);
    case DType::kQ4_K:
      return run_fast<DType::kQ4_K>(job, tile_begin, tile_end, scratch);
    case DType::kQ5_K:
      return run_fast<DType::kQ5_K>(job, tile_begin, tile_end, scratch);
    case DType::kQ6_K:
      return run_fast<DType::kQ6_K>(job, tile_begin, tile_end, scratch);
    case DType::kIQ4_NL:
      return run_fast<DType::kIQ4_NL>(job, tile_begin, tile_end, scratch);
    case DType::kBQ4:
      return run_fast<DType::kBQ4>(job, tile_begin, tile_end, scratch);
    default:
      return run_fast<DType::kIQ4_XS>(job, tile_begin, tile_end, scratch);
  }
}

// Activations to int8 (ActBlock). Magnitudes order like their bits, NaN above infinity above all numbers.
void quantize_rows(const float* x, int64_t x_stride, int64_t cols, int64_t row_begin, int64_t row_end, ActBlock* out,
                   int64_t out_stride) {
  for (int64_t row = row_begin; row < row_end; ++row) {
    const float* from = x + row * x_stride;
    ActBlock* to = out + row * out_stride;
    for (int64_t b = 0; b < cols / kBlock; ++b) quantize_block(from + b * kBlock, to + b);
  }
}
