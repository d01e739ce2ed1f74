// Attention over q8_0 and q4_0 pages with integer products, one text for all tables; included after
// attention_coded_page.inl.h and the table's codes_*.inl.h. Contract and the order of every step: row_kernels.h.
//
// Per row and page, 64 * Dh products each of int8 x int8 (scores) and int16 x int8 (values): on AVX-512 Dh of vpdpbusd
// and 2 Dh of vpdpwssd, against 8 Dh FMAs and the conversions of the fp32 text. A page's codes (17 KB for q8_0, Dh 128)
// stay in the first cache level, so rows go tile by tile through scores, softmax and values, whose results never leave
// it either. A page starts from its own maximum: what integers cannot do is rescale as they go.

// One tile of rows between its stages.
struct CodedTile {
  alignas(64) float scores[kMaxTileRows][kPageTok];
  alignas(64) int16_t codes[kMaxTileRows][kMaxKvBlocks][kPageTok];
  float factor[kMaxTileRows][kMaxKvBlocks];  // of the tile's dots
  float shrink[kMaxTileRows];                // of what earlier pages left
};

// Fetches line i of kLines before product i * (kProducts / kLines) on.
template <int kLines, int kProducts>
BANTAM_INLINE void fetch_between(int product, Ints& sum, const std::byte* lines) {
  constexpr int kApart = kProducts / kLines > 0 ? kProducts / kLines : 1;
  if (product % kApart == 0 && product / kApart < kLines) fetch_beside(sum, lines + product / kApart * 64);
}

// Scores of R rows against slots [16 first, 16 (first + N)).
template <int R, int N, bool kNibbles>
inline void coded_scores(const Walk& w, const CodedQueries& q, const CodedPage& page, int64_t row, int64_t first,
                         Fetch& fetch, CodedTile& tile) {
  constexpr int kHalves = kNibbles ? 2 : 1;
  const int64_t dh = w.run.head_dim;
  const uint8_t* keys = page.keys + first * 64;
  const int8_t* codes = q.codes + row * dh;
  Fetch ahead = fetch;
  Vec sum[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) sum[r][n] = Vec::zero();
  }
  for (int64_t b = 0; b < q.blocks; ++b) {
    Ints dots[R][N];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) dots[r][n] = first_sum<kNibbles>(q.correction[(row + r) * q.blocks + b]);
    }
    for (int g = 0; g < 8 / kHalves; ++g, keys += 4 * kPageTok) {
      const std::byte* const lines = ahead.take<1>();
#pragma GCC unroll 2
      for (int half = 0; half < kHalves; ++half, codes += 4) {
        KeyCodes k[N];
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) k[n] = load_keys<kNibbles>(keys + n * 64, half);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
          for (int n = 0; n < N; ++n) {
            fetch_between<1, kHalves * R * N>((half * R + r) * N + n, dots[r][n], lines);
            dots[r][n] = dot4<kNibbles>(dots[r][n], k[n], codes + r * dh);
          }
        }
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Vec scale = Vec::all(q.scale[(row + r) * q.blocks + b]);
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) {
        const Vec key_scale = Vec::load(page.key_scale + b * kPageTok + (first + n) * 16);
        sum[r][n] = fma(to_float(dots[r][n]) * key_scale, scale, sum[r][n]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) (sum[r][n] * Vec::all(w.run.scale)).store(tile.scores[r] + (first + n) * 16);
  }
  fetch = ahead;
}

// Probabilities of row r of the tile, times the values' scales, as 16-bit codes. Returns the page's max and sum.
struct PageSum {
  float max, sum;
};
template <bool kNibbles>
inline PageSum code_row(const CodedPage& page, int64_t blocks, int64_t seen, int r, Fetch& fetch, CodedTile& tile) {
  Vec e[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) e[i] = Vec::load(tile.scores[r] + 16 * i);
  const float page_max = hide_unseen(seen, e);
  exp_page(seen, page_max, e);
  const float page_sum = sum_tree(((e[0] + e[1]) + e[2]) + e[3]);
  if (seen == kPageTok) {
    for (int64_t b = 0; b < blocks; ++b) {
      const float* weight = page.value_weight + b * kPageTok;
      fetch.step<kNibbles ? 2 : 4>();
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) (e[i] * Vec::load(weight + 16 * i)).store_rounded(tile.codes[r][b] + 16 * i);
      tile.factor[r][b] = page.largest[b];
    }
    return {page_max, page_sum};
  }
  for (int64_t b = 0; b < blocks; ++b) {  // only what the row sees may choose the weights
    Vec v[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      v[i] = select_first(seen - 16 * i, Vec::load(page.value_scale + b * kPageTok + 16 * i), Vec::zero());
    }
    const float most = largest_size(v);
    const Vec stretch = Vec::all(most > 0 ? kProbability / most : 0.0f);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) (e[i] * (v[i] * stretch)).store_rounded(tile.codes[r][b] + 16 * i);
    tile.factor[r][b] = most * (1 / kProbability);
  }
  return {page_max, page_sum};
}

// All rows of a tile: codes, then running max and sum; what they were and are decides shrink and factor.
template <int R, bool kNibbles>
inline void coded_softmax(const Walk& w, const CodedPage& page, int64_t blocks, int64_t page_index, int64_t row,
                          Fetch& fetch, CodedTile& tile) {
  const bool first_page = page_index == w.run.page_begin;
  const int64_t dh = w.run.head_dim;
  PageSum sums[R];
  alignas(64) float change[16] = {};  // old max - new max of each row, then page max - new max
  for (int r = 0; r < R; ++r) {
    sums[r] = code_row<kNibbles>(page, blocks, w.seen(row + r, page_index), r, fetch, tile);
    const float old_max = first_page ? sums[r].max : w.state.max[row + r];
    const float new_max = old_max > sums[r].max ? old_max : sums[r].max;
    change[r] = old_max - new_max;
    change[8 + r] = sums[r].max - new_max;
    w.state.max[row + r] = new_max;
  }
  exp(Vec::load(change)).store(change);
  for (int r = 0; r < R; ++r) {
    float& sum = w.state.sum[row + r];
    if (first_page) {
      sum = 0;
      float* out = w.state.out + (row + r) * dh;
      for (int64_t d = 0; d < dh; d += 16) Vec::zero().store(out + d);
    }
    sum = __builtin_fmaf(sums[r].sum, change[8 + r], sum * change[r]);
    tile.shrink[r] = change[r];
    for (int64_t b = 0; b < blocks; ++b) tile.factor[r][b] = tile.factor[r][b] * change[8 + r];
  }
}

// Dimensions [16 first, 16 (first + N)) of R rows. REQUIRES: first even, or N = 1.
template <int R, int N, bool kNibbles>
inline void coded_values(const Walk& w, const CodedPage& page, int64_t row, int64_t first, Fetch& fetch,
                         const CodedTile& tile) {
  constexpr int kValueLines = kNibbles ? 1 : 2;
  const int64_t dh = w.run.head_dim, pair_bytes = kNibbles ? dh : 2 * dh;
  const uint8_t* values = page.values + (kNibbles ? first / 2 : first) * 32;
  const int16_t* codes = tile.codes[0][first / 2];
  const int odd = static_cast<int>(first % 2);
  Fetch ahead = fetch;
  Ints sum[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) sum[r][n] = zero_ints();
  }
  for (int64_t t = 0; t < kPageTok; t += 2, values += pair_bytes, codes += 2) {
    ValueCodes v[N];
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
      v[n] = load_values<kNibbles>(values + (kNibbles ? n / 2 : n) * 32, N == 1 ? odd : n % 2);
    }
    const std::byte* const lines = ahead.take<kValueLines>();
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) {
        fetch_between<kValueLines, R * N>(r * N + n, sum[r][n], lines);
        sum[r][n] = dot2(sum[r][n], v[n], codes + (r * kMaxKvBlocks + n / 2) * kPageTok);
      }
    }
  }
  fetch = ahead;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    float* out = w.state.out + (row + r) * dh + first * 16;
    const Vec shrink = Vec::all(tile.shrink[r]);
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
      const Vec factor = Vec::all(tile.factor[r][(first + n) / 2]);
      fma(to_float(sum[r][n]), factor, Vec::load(out + 16 * n) * shrink).store(out + 16 * n);
    }
  }
}

template <int R, bool kNibbles>
void coded_rows(const Walk& w, const CodedQueries& q, const CodedPage& page, int64_t page_index, int64_t row,
                Fetch& fetch) {
  constexpr int kScores = coded_score_vecs(R), kValues = tile_vecs(R);
  CodedTile tile;
  const int64_t seen = w.seen(row + R - 1, page_index), columns = w.run.head_dim / 16;
  for (int64_t first = 0; 16 * first < seen; first += kScores) {
    coded_scores<R, kScores, kNibbles>(w, q, page, row, first, fetch, tile);
  }
  coded_softmax<R, kNibbles>(w, page, q.blocks, page_index, row, fetch, tile);
  int64_t first = 0;
  for (; first + kValues <= columns; first += kValues)
    coded_values<R, kValues, kNibbles>(w, page, row, first, fetch, tile);
  for (; first < columns; ++first) coded_values<R, 1, kNibbles>(w, page, row, first, fetch, tile);
}

template <bool kNibbles>
void attend_coded(const AttentionRun& run, const AttentionState& state, float* scratch) {
  const Walk w(run, state, nullptr);
  const int64_t blocks = run.head_dim / kKvBlock;
  float* const page_memory = scratch;
  const int64_t page_bytes = row_bytes(run.dtype, 2 * kPageTok * run.head_dim);
  const CodedQueries q = code_queries<kNibbles>(w, reinterpret_cast<std::byte*>(scratch + 3 * blocks * kPageTok + 16));
  const auto head_of = [&run](int64_t page) { return run.pages[page - run.page_begin]; };
  for (int64_t p = run.page_begin; p < run.page_end; ++p) {
    const std::byte* const next = head_of(p + 1 < run.page_end ? p + 1 : p);
    Fetch fetch{next, p + 1 < run.page_end ? next + page_bytes : next};
    const CodedPage page = open_page<kNibbles>(head_of(p), run.head_dim, fetch, page_memory);
    const int64_t begin = w.first_row(p * kPageTok), groups = (w.rows - begin + kMaxTileRows - 1) / kMaxTileRows;
    const int64_t least = (w.rows - begin) / groups, longer = (w.rows - begin) % groups;
    for (int64_t g = 0, row = begin; g < groups; ++g) {
      const int64_t rows = least + (g < longer ? 1 : 0);
      switch (rows) {
        case 1:
          coded_rows<1, kNibbles>(w, q, page, p, row, fetch);
          break;
        case 2:
          coded_rows<2, kNibbles>(w, q, page, p, row, fetch);
          break;
        case 3:
          coded_rows<3, kNibbles>(w, q, page, p, row, fetch);
          break;
        case 4:
          coded_rows<4, kNibbles>(w, q, page, p, row, fetch);
          break;
        case 5:
          coded_rows<5, kNibbles>(w, q, page, p, row, fetch);
          break;
        case 6:
          coded_rows<6, kNibbles>(w, q, page, p, row, fetch);
          break;
      }
      row += rows;
    }
  }
}
