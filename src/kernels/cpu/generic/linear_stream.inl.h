// Decode: few tokens (M <= 8) times a quantised type T, bound by memory. Included inside the anonymous namespace and
// target region of linear_avx*.cpp after linear_block.inl.h and the ISA's dot_tokens.
//
// A thread reads kStreams tiles in turns, each a forward stream, unpacks them in registers and dots them with all
// tokens. kTilesAbreast of them go block by block in step: they share the loads of activations and what is made from
// their sums, and their chains of integer dots run side by side.

// A core's memory pipeline takes from several streams what a single one leaves empty whenever arithmetic delays its
// fetches (4 against 1, two cores, Q4_0: M = 1 takes 6 % less time, M = 2 14 %, M = 4 20 %).
constexpr int64_t kStreams = 4;
// Blocks of one turn where not all streams go abreast.
constexpr int64_t kTurnBlocks = 2;
// How far ahead each stream is fetched. Into L2 whole groups, so that a header is fetched just when the group before it
// starts: other distances of 1.5 to 3.5 KiB cost q4_k 2 to 7 % at M = 1, q4_0 2 %. Together the streams fetch 9 KiB
// ahead, three times the 48 lines in flight that L2 of the Xeon measured has.
template <DType T>
constexpr int64_t kAheadL2 = packed_format(T).group_blocks() == 8
                                 ? packed_format(T).group_bytes()
                                 : 2304 / packed_format(T).group_bytes() * packed_format(T).group_bytes();
constexpr int64_t kAheadL1 = 1536;

inline const uint8_t* tile_at(const PackedMatrix& w, int64_t tile, int64_t bytes) {
  return reinterpret_cast<const uint8_t*>(w.data) + tile * bytes;
}

// sum[R][M] += one block, or the second half of it, of R tiles `step` bytes apart. early: the unit's early sums, where
// kEarlySums.
template <DType T, int M, int R, int Half>
BANTAM_INLINE void stream_unit(const uint8_t* planes, int64_t step, const BlockScales* s, const ActBlock* const* acts,
                               const int32_t* early, VF (*sum)[M]) {
  UnitScales unit[R];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) unit[r] = {s[r].scale[Half], shift_of(s[r].scale[Half]), s[r].add[Half]};
  VI h[R][M];
  dot_tokens<T, M, R, Half>(planes, step, acts, early, h);
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) {
    const ActBlock* a = acts[m];
    VF of = f_zero();
    if constexpr (packed_format(T).has_add()) {
      of = kEarlySums<T, M> ? f_from_bits(i_broadcast(early + m)) : act_sum<T, Half>(a);
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) sum[r][m] = add_unit<T>(sum[r][m], h[r][m], unit[r], of, a->d);
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
template <int Bytes>
BANTAM_INLINE void fetch_lines(const uint8_t* from, const Ahead& ahead) {
  prefetch_lines<Bytes, _MM_HINT_T1>(from + ahead.l2);
  prefetch_lines<Bytes>(from + ahead.l1);
}

// sum[R][M] += blocks [first, first + count) of row vector `part` of R tiles, which lie in one group.
template <DType T, int M, int R>
BANTAM_INLINE void stream_blocks(const LinearJob& job, const uint8_t* tile, int64_t step, int part, int64_t first,
                                 int64_t count, const Ahead& ahead, const int32_t* early, VF (*sum)[M]) {
  constexpr PackedFormat f = packed_format(T);
  const uint8_t* header = tile + f.header_at(first);
  const uint8_t* planes = tile + f.codes_at(first) + part * kLanes * 4;
  const ActBlock* acts[M];
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) acts[m] = job.q + m * job.q_stride + first;
  int64_t i = first % f.group_blocks();
  GroupScales group[R];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
    group[r] = load_group<T>(header + r * step, part);
    if (part == 0 && i == 0) fetch_lines<f.header_bytes()>(header + r * step, ahead);
  }
  if constexpr (kEarlySums<T, M>) early += first * f.halves() * M;
  for (; count > 0; --count, ++i, planes += f.code_bytes()) {
    BlockScales s[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      if (part == 0) fetch_lines<f.code_bytes()>(planes + r * step, ahead);
      s[r] = load_scales<T>(group[r], header + r * step, i, part);
    }
    stream_unit<T, M, R, 0>(planes, step, s, acts, early, sum);
    if constexpr (f.halves() == 2) stream_unit<T, M, R, 1>(planes, step, s, acts, early + M, sum);
    if constexpr (kEarlySums<T, M>) early += f.halves() * M;
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      ++acts[m];
      // One pointer per token: GCC 12 may make them from fewer, with 30 more instructions a block at M = 8 (7 % of
      // time).
      asm("" : "+r"(acts[m]));
    }
  }
}

// The same for whole tiles, whose running totals wait in memory.
template <DType T, int M, int R>
BANTAM_INLINE void stream_turn(const LinearJob& job, const uint8_t* tile, int64_t step, int64_t first, int64_t count,
                               const Ahead& ahead, const int32_t* early, float (*totals)[M][kTileRows]) {
  for (int part = 0; part < kParts; ++part) {
    VF sum[R][M];
#pragma GCC unroll 8
    for (int i = 0; i < R * M; ++i) sum[i / M][i % M] = f_load(totals[i / M][i % M] + part * kLanes);
    stream_blocks<T, M, R>(job, tile, step, part, first, count, ahead, early, sum);
#pragma GCC unroll 8
    for (int i = 0; i < R * M; ++i) f_store(totals[i / M][i % M] + part * kLanes, sum[i / M][i % M]);
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
  constexpr int R = kTilesAbreast<T, M>;
  constexpr int64_t most = R == kStreams ? 8 : kTurnBlocks, turn = f.group_blocks() < most ? f.group_blocks() : most;
  const int64_t blocks = job.weight.cols / kBlock, bytes = tile_bytes(T, job.weight.cols);
  for (int64_t tile = tile_begin; tile < tile_end; tile += kStreams) {
    const uint8_t* packed = tile_at(job.weight, tile, bytes);
    const int64_t streams = tile_end - tile < kStreams ? tile_end - tile : kStreams;
    alignas(64) float totals[kStreams][M][kTileRows];
    __builtin_memset(totals, 0, static_cast<size_t>(streams) * sizeof totals[0]);
    for (int64_t first = 0; first < blocks; first += turn) {
      const int64_t count = blocks - first < turn ? blocks - first : turn, at = f.header_at(first);
      const Ahead ahead{stream_ahead(at, kAheadL2<T>, bytes, (streams - 1) * bytes),
                        stream_ahead(at, kAheadL1, bytes, (streams - 1) * bytes)};
      int64_t r = 0;
      for (; r + R <= streams; r += R) {
        stream_turn<T, M, R>(job, packed + r * bytes, bytes, first, count, ahead, early, totals + r);
      }
      if constexpr (R > 1) {
        for (; r < streams; ++r) {
          stream_turn<T, M, 1>(job, packed + r * bytes, bytes, first, count, ahead, early, totals + r);
        }
      }
    }
    for (int64_t r = 0; r < streams; ++r) {
      for (int m = 0; m < M; ++m) store_totals(job, tile + r, m, totals[r][m]);
    }
  }
}
