// The fast kernels of a vector table, for one quantised type T. Included inside the anonymous namespace and target
// region of linear_avx*.cpp after linear_block.inl.h and the ISA's panel_dots.
//
// Few tokens (M <= kStreamTokens): stream_tokens reads each tile once, unpacks in registers and dots with all tokens:
// decode is bound by memory, kStreams forward streams per thread.
// More: a panel of kPanelBlocks blocks x kGroupTiles tiles is unpacked once into scratch (L1), then all tokens pass
// over it in register tiles; running totals of every token wait in scratch between panels. Per 16 rows x 32 k x 1 token
// on AVX-512: 8 vpdpbusd + 2 FMA (+2 for scales per 16, +1 per additive term).

constexpr int kStreamTokens = 8;
constexpr int64_t kPanelBlocks = 16;
// Tiles that a thread streams in turns, and blocks of one turn: a core's memory pipeline takes from several streams
// what a single one leaves empty whenever arithmetic delays its fetches (4 against 1, two cores, Q4_0: M = 1 takes 6 %
// less time, M = 2 14 %, M = 4 20 %).
constexpr int64_t kStreams = 4, kTurnBlocks = 2;
// Bytes that each stream prefetches ahead, into L2 and into L1: together twice the 3 KiB of fetches in flight that L2
// of the Xeon measured has.
constexpr int64_t kStreamAheadL2 = 1536, kStreamAheadL1 = 512;

inline const uint8_t* tile_at(const PackedMatrix& w, int64_t tile, int64_t bytes) {
  return reinterpret_cast<const uint8_t*>(w.data) + tile * bytes;
}

// sum[M] += one block, or the second half of it. early: the unit's early sums, where kEarlySums.
template <DType T, int M, int Half>
BANTAM_INLINE void stream_unit(const uint8_t* planes, const BlockScales& s, const ActBlock* acts, int64_t stride,
                               const int32_t* early, VF* sum) {
  VI h[M];
  dot_tokens<T, M, Half>(planes, acts, stride, early, h);
  const UnitScales unit{s.scale[Half], shift_of(s.scale[Half]), s.add[Half]};
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) {
    const ActBlock* a = acts + m * stride;
    if constexpr (kEarlySums<T, M>) {
      sum[m] = add_unit<T>(sum[m], h[m], unit, f_from_bits(i_broadcast(early + m)), a->d);
    } else {
      sum[m] = add_unit<T, Half>(sum[m], h[m], unit, a);
    }
  }
}

// How far ahead the tile's lines are fetched, from the lines in use on.
struct Ahead {
  int64_t l2, l1;
};
// Bytes from a tile's place `at` to the place `distance` bytes later in the stream, which goes on in the tile that
// follows `skip` bytes after this one's end.
inline int64_t stream_ahead(int64_t at, int64_t distance, int64_t bytes, int64_t skip) {
  return distance + (at + distance >= bytes ? skip : 0);
}

// sum[M] += blocks [first, first + count) of one row vector, which lie in one group.
template <DType T, int M>
BANTAM_INLINE void stream_blocks(const LinearJob& job, const uint8_t* tile, int part, int64_t first, int64_t count,
                                 const Ahead& ahead, const int32_t* early, VF* sum) {
  constexpr PackedFormat f = packed_format(T);
  const uint8_t* header = tile + f.header_at(first);
  const uint8_t* planes = tile + f.codes_at(first) + part * kLanes * 4;
  const ActBlock* acts = job.q + first;
  const GroupScales group = load_group<T>(header, part);
  int64_t i = first % f.group_blocks();
  if (part == 0 && i == 0) {
    prefetch_lines<f.header_bytes(), _MM_HINT_T1>(header + ahead.l2);
    prefetch_lines<f.header_bytes()>(header + ahead.l1);
  }
  for (; count > 0; --count, ++i, ++acts, planes += f.code_bytes()) {
    if (part == 0) {
      prefetch_lines<f.code_bytes(), _MM_HINT_T1>(planes + ahead.l2);
      prefetch_lines<f.code_bytes()>(planes + ahead.l1);
    }
    const BlockScales s = load_scales<T>(group, header, i, part);
    const int32_t* sums = early;
    if constexpr (kEarlySums<T, M>) sums += (acts - job.q) * f.halves() * M;
    stream_unit<T, M, 0>(planes, s, acts, job.q_stride, sums, sum);
    if constexpr (f.halves() == 2) stream_unit<T, M, 1>(planes, s, acts, job.q_stride, sums + M, sum);
  }
}

// The job of one of its rows.
inline LinearJob row_of(LinearJob job, int64_t m) {
  job.m = 1;
  job.q += m * job.q_stride;
  job.out += m * job.out_stride;
  if (job.residual != nullptr) job.residual += m * job.residual_stride;
  return job;
}

template <DType T, int M>
void stream_tokens(const LinearJob& job, int64_t tile_begin, int64_t tile_end, std::byte* scratch) {
  auto* early = reinterpret_cast<int32_t*>(scratch);
  if constexpr (kEarlySums<T, M>) {
    if (early_sums_bytes<T>(job.weight.cols / kBlock, M) > kLinearScratchBytes) {  // K above 81,920
      for (int64_t m = 0; m < M; ++m) stream_tokens<T, 1>(row_of(job, m), tile_begin, tile_end, scratch);
      return;
    }
    make_early_sums<T, M>(job, early);
  }
  constexpr PackedFormat f = packed_format(T);
  constexpr int64_t turn = f.group_blocks() < kTurnBlocks ? f.group_blocks() : kTurnBlocks;
  const int64_t blocks = job.weight.cols / kBlock, bytes = tile_bytes(T, job.weight.cols);
  for (int64_t tile = tile_begin; tile < tile_end; tile += kStreams) {
    const uint8_t* packed = tile_at(job.weight, tile, bytes);
    const int64_t streams = tile_end - tile < kStreams ? tile_end - tile : kStreams;
    alignas(64) float totals[kStreams][M][kTileRows];
    __builtin_memset(totals, 0, static_cast<size_t>(streams) * sizeof totals[0]);
    for (int64_t first = 0; first < blocks; first += turn) {
      const int64_t count = blocks - first < turn ? blocks - first : turn, at = f.header_at(first);
      const Ahead ahead{stream_ahead(at, kStreamAheadL2, bytes, (streams - 1) * bytes),
                        stream_ahead(at, kStreamAheadL1, bytes, (streams - 1) * bytes)};
      for (int64_t r = 0; r < streams; ++r) {
        for (int part = 0; part < kParts; ++part) {
          VF sum[M];
#pragma GCC unroll 8
          for (int m = 0; m < M; ++m) sum[m] = f_load(totals[r][m] + part * kLanes);
          stream_blocks<T, M>(job, packed + r * bytes, part, first, count, ahead, early, sum);
#pragma GCC unroll 8
          for (int m = 0; m < M; ++m) f_store(totals[r][m] + part * kLanes, sum[m]);
        }
      }
    }
    for (int64_t r = 0; r < streams; ++r) {
      for (int m = 0; m < M; ++m) store_totals(job, tile + r, m, totals[r][m]);
    }
  }
}

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
