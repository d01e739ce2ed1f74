// Attention's one text, included by each table's compile unit after its Vec and exp. Contracts and the order of every
// sum: row_kernels.h.
//
// Work per row and page: 2 * 64 * Dh FMAs (scores, then values) against 64 exponentials. Both products are register
// tiles of R query rows x N Vecs: scores hold 16 N slots over all d (keys are stored transposed, so slots are lanes),
// values hold 16 N dimensions over the slots. tile_vecs(R), given by the including unit, is the N that
// fills its register file.
// Few rows (decode) read the page in place, each element converted once or twice; many rows (prefill) first convert
// the page to f32 in scratch, cut into column blocks that a tile streams through.

constexpr int kMaxTileRows = 6;

// A page as tiles read it. In place: keys [Dh, 64], values [64, Dh] of the page's type. Blocked (f32 copies): keys in
// blocks of kCols columns, [64 / kCols][Dh][kCols]; values likewise, [Dh / kCols][64][kCols], the last Dh % kCols
// dimensions in blocks of 16. A tile streams through a block.
template <class T>
struct Page {
  const T* keys;
  const T* values;
  const T* next_keys;  // in place: of the page that follows, to be fetched while this one is worked on
};

// Memory is what decode waits for, and a page is too short for the hardware prefetcher to find its stride. So while a
// tile walks its block of keys in place it fetches as many bytes of this page's values, and over the values the next
// page's keys. Per step: what the tile itself reads, one line at a time between the R * N products, of which this is
// number `product`. (Two fetches side by side behind a step's loads hold up the loads of the next: 13.9 instead of 17.0
// GB/s on one Xeon core.)
template <int R, int N, bool kBlocked, class T>
BANTAM_INLINE void fetch_ahead(int product, Vec& sum, const T* ahead) {
  if constexpr (!kBlocked) {
    constexpr int kBytes = 16 * N * sizeof(T), kLines = kBytes < 64 ? 1 : kBytes / 64, kApart = R * N / kLines;
    if (product % kApart == 0 && product / kApart < kLines) {
      fetch_beside(sum, reinterpret_cast<const std::byte*>(ahead) + product / kApart * 64);
    }
  }
}

// scores[r][c] = (sum over d of q[r][d] * keys[d][c]) * scale for R rows and 16 N slots; scores 64 apart.
template <int R, int N, bool kBlocked, class T>
inline void score_tile(const float* const* q, const T* keys, int64_t stride, const T* ahead, int64_t head_dim,
                       float scale, float* scores) {
  const float* rows[R];
  Vec sum[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    rows[r] = q[r];
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) sum[r][n] = Vec::zero();
  }
  for (int64_t d = 0; d < head_dim; ++d, keys += stride, ahead += 16 * N) {
    Vec k[N];
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) k[n] = Vec::load(keys + 16 * n);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Vec x = Vec::all(rows[r][d]);
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) {
        fetch_ahead<R, N, kBlocked>(r * N + n, sum[r][n], ahead);
        sum[r][n] = fma(x, k[n], sum[r][n]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) (sum[r][n] * Vec::all(scale)).store(scores + r * kPageTok + 16 * n);
  }
}

// out[r][c] = out[r][c] * shrink[r] + sum over slots [begin, end) in order of p[r][t] * values[t][c] for R rows and 16
// N dimensions; p 64 apart, out Dh apart.
template <int R, int N, bool kBlocked, class T>
inline void value_tile(const float* p, const float* shrink, const T* values, int64_t stride, const T* ahead,
                       int64_t begin, int64_t end, int64_t head_dim, float* out) {
  Vec sum[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) sum[r][n] = Vec::load(out + r * head_dim + 16 * n) * Vec::all(shrink[r]);
  }
  values += begin * stride;
  for (int64_t t = begin; t < end; ++t, values += stride, ahead += 16 * N) {
    Vec v[N];
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) v[n] = Vec::load(values + 16 * n);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Vec x = Vec::all(p[r * kPageTok + t]);
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) {
        fetch_ahead<R, N, kBlocked>(r * N + n, sum[r][n], ahead);
        sum[r][n] = fma(x, v[n], sum[r][n]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) sum[r][n].store(out + r * head_dim + 16 * n);
  }
}

// One call while it walks its pages; what depends on row / group is worked out once (64-bit divisions are slow).
struct Walk {
  const AttentionRun& run;
  const AttentionState& state;
  float* scores;  // [rows, 64]
  int64_t rows;
  const float* query[kMaxAttentionRows];
  int64_t position[kMaxAttentionRows];        // of the row's token
  float shrink[kMaxAttentionRows + 16] = {};  // what the page does to the row's earlier sum and output

  Walk(const AttentionRun& r, const AttentionState& s, float* memory)
      : run(r), state(s), scores(memory), rows(r.queries * r.group) {
    for (int64_t token = 0, row = 0; token < r.queries; ++token) {
      for (int64_t head = 0; head < r.group; ++head, ++row) {
        query[row] = r.q + token * r.q_stride + head * r.head_dim;
        position[row] = r.first_pos + token;
      }
    }
  }
  // Slots of page p that a row sees: <= 0 when it sees none, 64 at most.
  int64_t seen(int64_t row, int64_t page) const {
    const int64_t n = position[row] + 1 - page * kPageTok;
    return n < kPageTok ? n : kPageTok;
  }
  // The first row that sees anything from position `pos` on.
  int64_t first_row(int64_t pos) const {
    const int64_t token = pos - run.first_pos;
    return token <= 0 ? 0 : token * run.group;
  }
};

// Column blocks [begin, end) of a stage's tiles; a stage has as many as it takes to cover its columns.
struct BlockRange {
  int64_t begin, end;
};

template <int R, int N, bool kBlocked, class T>
void score_rows(const Walk& w, const Page<T>& page, int64_t page_index, int64_t row, BlockRange blocks) {
  constexpr int64_t kCols = 16 * N;
  const int64_t dh = w.run.head_dim, slots = w.seen(row + R - 1, page_index);
  for (int64_t b = blocks.begin; b < blocks.end && b * kCols < slots; ++b) {
    score_tile<R, N, kBlocked>(w.query + row, page.keys + b * (kBlocked ? dh * kCols : kCols),
                               kBlocked ? kCols : kPageTok, page.values + b * dh * kCols, dh, w.run.scale,
                               w.scores + row * kPageTok + b * kCols);
  }
}

// The last block holds the Dh % (16 N) dimensions left over, 16 at a time.
template <int R, int N, bool kBlocked, class T>
void value_span(const Walk& w, const Page<T>& page, const float* shrink, int64_t row, int64_t begin, int64_t end,
                BlockRange blocks) {
  constexpr int64_t kCols = 16 * N;
  const int64_t dh = w.run.head_dim, whole = dh / kCols * kCols;
  const float* p = w.scores + row * kPageTok;
  float* out = w.state.out + row * dh;
  for (int64_t d = blocks.begin * kCols; d < blocks.end * kCols && d < whole; d += kCols) {
    value_tile<R, N, kBlocked>(p, shrink, page.values + (kBlocked ? d * kPageTok : d), kBlocked ? kCols : dh,
                               page.next_keys + d * kPageTok, begin, end, dh, out + d);
  }
  if (blocks.end * kCols <= whole) return;
  for (int64_t d = whole; d < dh; d += 16) {
    value_tile<R, 1, kBlocked>(p, shrink, page.values + (kBlocked ? d * kPageTok : d), kBlocked ? 16 : dh,
                               page.next_keys + d * kPageTok, begin, end, dh, out + d);
  }
}

// Slots that every row of the tile sees together, then each row's own rest: limiting the loop, not adding zeros,
// because a stale slot times zero could still flip the sign of a zero.
template <int R, int N, bool kBlocked, class T>
void value_rows(const Walk& w, const Page<T>& page, int64_t page_index, int64_t row, BlockRange blocks) {
  const float kKeep = 1.0f;
  const int64_t common = w.seen(row, page_index);
  value_span<R, N, kBlocked>(w, page, w.shrink + row, row, 0, common, blocks);
  for (int64_t r = 1; r < R; ++r) {
    if (const int64_t end = w.seen(row + r, page_index); end > common) {
      value_span<1, N, kBlocked>(w, page, &kKeep, row + r, common, end, blocks);
    }
  }
}

// A page's scores of one row: hides the slots it does not see and returns the largest of the others.
BANTAM_INLINE float hide_unseen(int64_t seen, Vec* v) {
  if (seen < kPageTok) {
    const Vec hidden = Vec::all(-__builtin_inff());
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) v[i] = select_first(seen - 16 * i, v[i], hidden);
  }
  return max_tree(max(max(v[0], v[1]), max(v[2], v[3])));
}

// v = exp(v - shift), zero where the row does not see. Hidden slots take part as exp(0): the exponential of -infinity
// passes through denormals, which cost an Intel core 450 ns a register.
BANTAM_INLINE void exp_page(int64_t seen, float shift, Vec* v) {
  const Vec all = Vec::all(shift);
  if (seen == kPageTok) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) v[i] = exp(v[i] - all);
    return;
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const int64_t n = seen - 16 * i;
    v[i] = select_first(n, exp(select_first(n, v[i], all) - all), Vec::zero());
  }
}

// Scores of one row to probabilities; returns their sum. Updates the row's max and says how far it rose (as a number
// <= 0, in shrink). No branch on the data: rows overlap in the processor, and a wrong guess would empty it.
inline float softmax_row(Walk& w, int64_t page_index, int64_t row, bool first_page) {
  const int64_t seen = w.seen(row, page_index);
  float* s = w.scores + row * kPageTok;
  Vec v[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) v[i] = Vec::load(s + 16 * i);
  const float page_max = hide_unseen(seen, v);
  const float old_max = first_page ? page_max : w.state.max[row];
  const float new_max = old_max > page_max ? old_max : page_max;
  w.state.max[row] = new_max;
  w.shrink[row] = old_max - new_max;
  exp_page(seen, new_max, v);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) v[i].store(s + 16 * i);
  return sum_tree(((v[0] + v[1]) + v[2]) + v[3]);
}

// Rows [begin, end). Fetches [ahead, ahead + ahead_bytes) in even pieces.
inline void softmax_rows(Walk& w, int64_t page_index, int64_t begin, int64_t end, const std::byte* ahead,
                         int64_t ahead_bytes) {
  const bool first_page = page_index == w.run.page_begin;
  const int64_t dh = w.run.head_dim, piece = (ahead_bytes / (end - begin) + 63) / 64 * 64;
  const std::byte* const ahead_end = ahead + ahead_bytes;
  float sums[kMaxAttentionRows];
  for (int64_t row = begin; row < end; ++row) {
    sums[row] = softmax_row(w, page_index, row, first_page);
    for (const std::byte* stop = ahead + piece; ahead < stop && ahead < ahead_end; ahead += 64) {
      __builtin_prefetch(ahead, 0, 2);
    }
  }
  for (int64_t row = begin; row < end; row += 16) exp(Vec::load(w.shrink + row)).store(w.shrink + row);
  for (int64_t row = begin; row < end; ++row) {
    if (first_page) {
      w.state.sum[row] = 0;
      for (int64_t d = 0; d < dh; d += 16) Vec::zero().store(w.state.out + row * dh + d);
    }
    w.state.sum[row] = __builtin_fmaf(w.state.sum[row], w.shrink[row], sums[row]);  // times 1 is exact
  }
}

enum class Stage { kScores, kValues };

// Runs a stage's tiles for rows [begin, end), in even groups of at most kMaxTileRows, over some column blocks.
template <Stage kStage, bool kBlocked, class T>
void tile_rows(const Walk& w, const Page<T>& page, int64_t page_index, int64_t begin, int64_t end, BlockRange blocks) {
  const int64_t groups = (end - begin + kMaxTileRows - 1) / kMaxTileRows;
  const int64_t least = (end - begin) / groups, longer = (end - begin) % groups;
  for (int64_t g = 0, row = begin; g < groups; ++g) {
    const int64_t tile = least + (g < longer ? 1 : 0);
#define BANTAM_TILE(R)                                               \
  case R: {                                                          \
    constexpr int kN = tile_vecs(kBlocked ? kMaxTileRows : R);       \
    if constexpr (kStage == Stage::kScores) {                        \
      score_rows<R, kN, kBlocked>(w, page, page_index, row, blocks); \
    } else {                                                         \
      value_rows<R, kN, kBlocked>(w, page, page_index, row, blocks); \
    }                                                                \
    break;                                                           \
  }
    switch (tile) {
      BANTAM_TILE(1)
      BANTAM_TILE(2)
      BANTAM_TILE(3)
      BANTAM_TILE(4)
      BANTAM_TILE(5)
      BANTAM_TILE(6)
    }
#undef BANTAM_TILE
    row += tile;
  }
}

// Blocked pages: one column block at a time for all rows, so that the block stays in the first cache level.
template <Stage kStage, bool kBlocked, class T>
void run_stage(const Walk& w, const Page<T>& page, int64_t page_index, int64_t begin, int64_t end) {
  constexpr int64_t kCols = 16 * tile_vecs(kMaxTileRows), kAll = kMaxHeadDim;
  if constexpr (kBlocked) {
    const int64_t columns = kStage == Stage::kScores ? kPageTok : w.run.head_dim;
    for (int64_t b = 0; b * kCols < columns; ++b) {
      tile_rows<kStage, kBlocked>(w, page, page_index, begin, end, {b, b + 1});
    }
  } else {
    tile_rows<kStage, kBlocked>(w, page, page_index, begin, end, {0, kAll});
  }
}

// `ahead` is what to fetch during the softmax, in even pieces: the next page, when tiles read copies.
template <bool kBlocked, class T>
void attend_page(Walk& w, const Page<T>& page, int64_t page_index, const std::byte* ahead, int64_t ahead_bytes) {
  const int64_t begin = w.first_row(page_index * kPageTok), end = w.rows;
  run_stage<Stage::kScores, kBlocked>(w, page, page_index, begin, end);
  softmax_rows(w, page_index, begin, end, ahead, ahead_bytes);
  run_stage<Stage::kValues, kBlocked>(w, page, page_index, begin, end);
}

// Copies a page into scratch as f32 blocks.
template <class T>
Page<float> block_page(const Page<T>& page, int64_t head_dim, float* scratch) {
  constexpr int64_t kCols = 16 * tile_vecs(kMaxTileRows);
  float* keys = scratch;
  for (int64_t d = 0; d < head_dim; ++d) {
    for (int64_t c = 0; c < kPageTok; c += 16) {
      Vec::load(page.keys + d * kPageTok + c).store(keys + c / kCols * kCols * head_dim + d * kCols + c % kCols);
    }
  }
  float* values = scratch + head_dim * kPageTok;
  const int64_t whole = head_dim / kCols * kCols;
  for (int64_t t = 0; t < kPageTok; ++t) {
    const T* row = page.values + t * head_dim;
    for (int64_t d = 0; d < whole; d += 16) {
      Vec::load(row + d).store(values + d / kCols * kCols * kPageTok + t * kCols + d % kCols);
    }
    for (int64_t d = whole; d < head_dim; d += 16) Vec::load(row + d).store(values + d * kPageTok + t * 16);
  }
  return {keys, values, keys};
}

// In place pays while every element is converted at most twice.
constexpr int64_t kMaxRowsInPlace = 2 * kMaxTileRows;

template <class T>
void attend_pages(const AttentionRun& run, const AttentionState& state, float* scratch) {
  Walk w(run, state, scratch + 2 * kPageTok * run.head_dim);
  const auto head_of = [&run](int64_t page) { return run.pages[page - run.page_begin]; };
  for (int64_t p = run.page_begin; p < run.page_end; ++p) {
    const std::byte* next = head_of(p + 1 < run.page_end ? p + 1 : p);
    const T* head = reinterpret_cast<const T*>(head_of(p));
    const Page<T> page{head, head + run.head_dim * kPageTok, reinterpret_cast<const T*>(next)};
    if (w.rows <= kMaxRowsInPlace) {
      attend_page<false>(w, page, p, nullptr, 0);
    } else {
      attend_page<true>(w, block_page(page, run.head_dim, scratch), p, next,
                        2 * kPageTok * run.head_dim * int64_t{sizeof(T)});
    }
  }
}

// Quantised pages with fp32 products: each page decoded, then as any f32 page of many rows.
inline void attend_decoded(const AttentionRun& run, const AttentionState& state, float* scratch) {
  const int64_t size = kPageTok * run.head_dim;
  float* const decoded = scratch + 2 * size + run.queries * run.group * kPageTok;
  Walk w(run, state, scratch + 2 * size);
  for (int64_t p = run.page_begin; p < run.page_end; ++p) {
    kv_decode(run.dtype, run.head_dim, run.pages[p - run.page_begin], decoded, decoded + size);
    const Page<float> page{decoded, decoded + size, decoded};
    attend_page<true>(w, block_page(page, run.head_dim, scratch), p, nullptr, 0);
  }
}
