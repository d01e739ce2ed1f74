// Decode with weights of a float type (f32, f16, bf16, f8), fp32 activations: few tokens stream each tile once,
// converting in registers. Included inside the anonymous namespace and target region of linear_avx*.cpp after
// linear_exact.inl.h's load_weight and TileWeights.
//
// A block of 32 k is one chain of FMAs per output; kFloatTiles tiles go block by block in step, so that their chains
// run side by side and share the broadcasts of activations, each a forward stream that is fetched ahead.

// As many as leave the sums of a block in registers: at most 16 (AVX2: 12) row vectors x tokens.
template <int M>
constexpr int kFloatTiles = kParts == 1 ? (M <= 4 ? 4 : 2) : (M <= 3 ? 2 : 1);
// How far ahead each of several streams is fetched, into L2 and into L1, and one alone, into L1.
constexpr int64_t kFloatAheadL2 = 3072, kFloatAheadL1 = 1024, kFloatAheadAlone = 2048;

// totals [R][M][16] += `count` k, at most a block, from k on, of R tiles. REQUIRES: k even.
template <DType T, int M, int R>
BANTAM_INLINE void add_float_block(const TileWeights<T>* w, const float* x, int64_t x_stride, int64_t k, int64_t count,
                                   const Ahead* ahead, float (*totals)[M][kTileRows]) {
  constexpr int V = R * kParts;
  constexpr int step = 2 * kTileRows * info(T).block_bytes;  // bytes of two k
  VF sum[V][M];
#pragma GCC unroll 32
  for (int i = 0; i < V * M; ++i) sum[i / M][i % M] = f_zero();
  const auto add = [&]<int Odd>(int64_t at) __attribute__((always_inline)) {
    VF v[V];
#pragma GCC unroll 8
    for (int i = 0; i < V; ++i) v[i] = w[i / kParts].template load<Odd>(at, i % kParts);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      const VF a = f_set(x[m * x_stride + at + Odd]);
#pragma GCC unroll 8
      for (int i = 0; i < V; ++i) sum[i][m] = f_fma(v[i], a, sum[i][m]);
    }
  };
  const int64_t end = k + count;
  for (; k + 2 <= end; k += 2) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const uint8_t* from = w[r].tile + k / 2 * step;
      if constexpr (R > 1) {
        fetch_lines<step>(from, *ahead);
      } else {
        prefetch_lines<step>(from + ahead->l1);
      }
    }
    add.template operator()<0>(k);
    add.template operator()<1>(k);
  }
  if (k < end) add.template operator()<0>(k);
#pragma GCC unroll 32
  for (int i = 0; i < V * M; ++i) {
    float* total = totals[i / M / kParts][i % M] + i / M % kParts * kLanes;
    f_store(total, f_add(f_load(total), sum[i / M][i % M]));
  }
}

template <DType T, int M, int R>
void stream_float_tiles(const LinearJob& job, int64_t tile) {
  const int64_t cols = job.weight.cols, bytes = tile_bytes(T, cols);
  alignas(64) float totals[R][M][kTileRows] = {};
  TileWeights<T> w[R];
  for (int r = 0; r < R; ++r) w[r] = {tile_at(job.weight, tile + r, bytes), f8_scales_of<T>(job.weight, tile + r), 0};
  for (int64_t k = 0; k < cols; k += kBlock) {
    const int64_t at = k * kTileRows * info(T).block_bytes;
    const Ahead ahead{stream_ahead(at, kFloatAheadL2, bytes, (R - 1) * bytes),
                      stream_ahead(at, R > 1 ? kFloatAheadL1 : kFloatAheadAlone, bytes, (R - 1) * bytes)};
    add_float_block<T, M, R>(w, job.x, job.x_stride, k, cols - k < kBlock ? cols - k : kBlock, &ahead, totals);
  }
  for (int r = 0; r < R; ++r) {
    for (int m = 0; m < M; ++m) store_totals(job, tile + r, m, totals[r][m]);
  }
}

template <DType T, int M>
void stream_floats(const LinearJob& job, int64_t tile_begin, int64_t tile_end) {
  if constexpr (M > 1) {
    if (job.m < M) return stream_floats<T, M - 1>(job, tile_begin, tile_end);
  }
  int64_t tile = tile_begin;
  for (; tile + kFloatTiles<M> <= tile_end; tile += kFloatTiles<M>) stream_float_tiles<T, M, kFloatTiles<M>>(job, tile);
  for (; tile < tile_end; ++tile) stream_float_tiles<T, M, 1>(job, tile);
}
