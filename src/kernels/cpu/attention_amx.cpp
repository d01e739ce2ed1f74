// Attention with AMX-INT8: integer products over q8_0 and q4_0 pages (generic/attention_codes.inl.h says what is
// computed, row_kernels.h in which order); everything else is AVX-512's.
//
// A page is unpacked once per call into B operands: keys as 8 lines of 16 slots x 4 dimensions per block of 32, values
// as 16 lines of 16 dimensions x 4 slots. Then up to 16 query rows at a time: TDPBSSD makes their exact scores per
// block, AVX-512 scales them, takes exponentials and codes probabilities; a 16-bit code is 256 * high + low, so
// TDPBSSD of the high bytes (signed) and TDPBUSD of the low ones (unsigned) make the exact sums of values.
// A tile product takes one cycle per query row: a row and page of Dh 128 are 32 cycles, against 384 vector products.
#include <immintrin.h>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/tile_config.h"
#include "kernels/kv_codes.h"
#include "kernels/row_kernels.h"
#include "tensor/bf16.h"

// GCC 12's own intrinsics start from undefined vectors, which it then warns about.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c,gfni,amx-tile,amx-int8")

namespace bantam::kernels {
namespace {

constexpr int tile_vecs(int /*rows*/) {
  return 4;
}

// clang-format off
#include "kernels/cpu/generic/vec_avx512.inl.h"
#include "kernels/cpu/generic/exp.inl.h"
#include "kernels/cpu/generic/attention.inl.h"
#include "kernels/cpu/generic/attention_coded_page.inl.h"
// clang-format on

constexpr int64_t kGroupRows = 16;                 // query rows multiplied together
constexpr int64_t kLeastRows = 24;                 // below that vectors are as fast
constexpr int64_t kSlotTiles = kPageTok / 16;      // score tiles of a page
constexpr int64_t kSumInts = kGroupRows * 16;      // one stored sum tile: [row][16]
constexpr int64_t kKeyTile = 8 * 64;               // bytes of a B operand of keys
constexpr int64_t kValueTile = kPageTok / 4 * 64;  // and of values
alignas(64) constexpr int32_t kZeroLine[16] = {};

// What a call keeps between its stages, in its scratch.
struct Workspace {
  int8_t* keys;    // [blocks][slots / 16][8][64]
  int8_t* values;  // [blocks][2][16][64]
  int32_t* sums;   // of scores [blocks][slots / 16], of values [blocks][2][high, low], each [row][16]
  int8_t* high;    // codes of probabilities, [blocks][row][64]
  uint8_t* low;
};

// The unit's tiles: 0..3 sums, 4 and 5 operands of scores (32 dimensions), 6 and 7 of values (64 slots).
TileConfig tile_config(int64_t rows) {
  TileConfig c;
  for (int i = 0; i < 8; ++i) c.rows[i] = static_cast<uint8_t>(rows);
  c.row_bytes[4] = kKvBlock;
  c.rows[5] = 8;
  c.rows[7] = 16;
  return c;
}

// Codes + 8 in the low (high) nibble of every byte to signed bytes: bits 0..2 as they are, bits 3..7 the fourth
// inverted.
BANTAM_INLINE __m512i low_codes(__m512i x) {
  return _mm512_gf2p8affine_epi64_epi8(x, _mm512_set1_epi64(0x0102040808080808), 0xF8);
}
BANTAM_INLINE __m512i high_codes(__m512i x) {
  return _mm512_gf2p8affine_epi64_epi8(x, _mm512_set1_epi64(static_cast<int64_t>(0x1020408080808080)), 0xF8);
}

template <bool kNibbles>
void unpack_keys(const CodedPage& page, int64_t head_dim, Fetch& fetch, int8_t* keys) {
  constexpr int kLines = kNibbles ? 2 : 1;  // lines out of a line in
  const __m512i offset = _mm512_set1_epi8(-128);
  const uint8_t* from = page.keys;
  for (int64_t line = 0; line < head_dim / 4; line += kLines) {
    int8_t* to = keys + line / 8 * kSlotTiles * kKeyTile + line % 8 * 64;
    fetch.step<2>();
#pragma GCC unroll 4
    for (int64_t s = 0; s < kSlotTiles; ++s, from += 64, to += kKeyTile) {
      const __m512i codes = _mm512_loadu_si512(from);
      if constexpr (kNibbles) {
        _mm512_storeu_si512(to, low_codes(codes));
        _mm512_storeu_si512(to + 64, high_codes(codes));
      } else {
        _mm512_storeu_si512(to, _mm512_xor_si512(codes, offset));
      }
    }
  }
}

// Two lines of 16 dimensions x 2 slots become one of 16 dimensions x 4 slots.
template <bool kNibbles>
void unpack_values(const CodedPage& page, int64_t head_dim, Fetch& fetch, int8_t* values) {
  const int64_t pair_bytes = kNibbles ? head_dim : 2 * head_dim;
  alignas(64) int16_t order[32];
  for (int16_t i = 0; i < 32; ++i) order[i] = static_cast<int16_t>(i / 2 + i % 2 * 16);
  const __m512i zip = _mm512_load_si512(order);
  for (int64_t quad = 0; quad < kPageTok / 4; ++quad) {
    const uint8_t* from = page.values + 2 * quad * pair_bytes;
    int8_t* to = values + quad * 64;
    for (int64_t at = 0; at < pair_bytes; at += 32) {
      fetch.step<1>();
      const __m512i pairs =
          _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + at))),
                             _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + pair_bytes + at)), 1);
      const __m512i codes = _mm512_permutexvar_epi16(zip, pairs);
      if constexpr (kNibbles) {
        _mm512_storeu_si512(to, low_codes(codes));
        _mm512_storeu_si512(to + kValueTile, high_codes(codes));
        to += 2 * kValueTile;
      } else {
        _mm512_storeu_si512(to, codes);
        to += kValueTile;
      }
    }
  }
}

// What other instructions stored is there before tiles load it: the intrinsics do not say that they read memory.
BANTAM_INLINE void before_tiles() {
  __asm__ volatile("" ::: "memory");
}

// Stores the four sums, one behind the other.
BANTAM_INLINE void store_sums(int32_t* to) {
  _tile_stored(0, to, 64);
  _tile_stored(1, to + kSumInts, 64);
  _tile_stored(2, to + 2 * kSumInts, 64);
  _tile_stored(3, to + 3 * kSumInts, 64);
}

// Score sums of a group of rows, whose codes are Dh apart. A sum leaves its register one block after its product.
inline void multiply_keys(const int8_t* queries, int64_t head_dim, const int8_t* keys, int32_t* sums) {
  before_tiles();
  for (int64_t b = 0; b < head_dim / kKvBlock; ++b, keys += kSlotTiles * kKeyTile) {
    if (b > 0) store_sums(sums + (b - 1) * kSlotTiles * kSumInts);
    _tile_loadd(4, queries + b * kKvBlock, head_dim);
    _tile_loadd(5, keys, 64);
    _tile_loadd(0, kZeroLine, 0);
    _tile_dpbssd(0, 4, 5);
    _tile_loadd(5, keys + kKeyTile, 64);
    _tile_loadd(1, kZeroLine, 0);
    _tile_dpbssd(1, 4, 5);
    _tile_loadd(5, keys + 2 * kKeyTile, 64);
    _tile_loadd(2, kZeroLine, 0);
    _tile_dpbssd(2, 4, 5);
    _tile_loadd(5, keys + 3 * kKeyTile, 64);
    _tile_loadd(3, kZeroLine, 0);
    _tile_dpbssd(3, 4, 5);
  }
  store_sums(sums + (head_dim / kKvBlock - 1) * kSlotTiles * kSumInts);
}

// Sums of values: per block of 32 dimensions [2 halves][high, low].
inline void multiply_values(const Workspace& s, int64_t blocks) {
  before_tiles();
  for (int64_t b = 0; b < blocks; ++b) {
    if (b > 0) store_sums(s.sums + (b - 1) * 4 * kSumInts);
    const int8_t* values = s.values + b * 2 * kValueTile;
    _tile_loadd(6, s.high + b * kGroupRows * kPageTok, 64);
    _tile_loadd(7, values, 64);
    _tile_loadd(0, kZeroLine, 0);
    _tile_dpbssd(0, 6, 7);
    _tile_loadd(7, values + kValueTile, 64);
    _tile_loadd(2, kZeroLine, 0);
    _tile_dpbssd(2, 6, 7);
    _tile_loadd(6, s.low + b * kGroupRows * kPageTok, 64);
    _tile_loadd(3, kZeroLine, 0);
    _tile_dpbusd(3, 6, 7);
    _tile_loadd(7, values, 64);
    _tile_loadd(1, kZeroLine, 0);
    _tile_dpbusd(1, 6, 7);
  }
  store_sums(s.sums + (blocks - 1) * 4 * kSumInts);
}

// A group of rows in one page.
struct Group {
  int64_t row, rows;
  alignas(64) float page_max[kGroupRows], page_sum[kGroupRows];
  alignas(64) float shrink[kGroupRows], grow[kGroupRows];  // what the page makes of earlier pages, and of itself
  float factor[kGroupRows][kMaxKvBlocks];                  // of the page's sums of values, before grow
};

// 64 products as 16-bit codes, rounded to nearest even, split into bytes in the order of slots.
BANTAM_INLINE void store_codes(const Vec* products, int8_t* high, uint8_t* low) {
  __m512i v[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) v[i] = _mm512_cvtps_epi32(products[i].v);
  const __m512i a = _mm512_packs_epi32(v[0], v[1]), b = _mm512_packs_epi32(v[2], v[3]);
  const __m512i byte = _mm512_set1_epi16(255);
  const __m512i lows = _mm512_packus_epi16(_mm512_and_si512(a, byte), _mm512_and_si512(b, byte));
  const __m512i highs = _mm512_packs_epi16(_mm512_srai_epi16(a, 8), _mm512_srai_epi16(b, 8));
  // Packing works within 128 bits: quad 4 L + j holds slots 16 j + 4 L.
  const __m512i quads = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  _mm512_storeu_si512(low, _mm512_permutexvar_epi32(quads, lows));
  _mm512_storeu_si512(high, _mm512_permutexvar_epi32(quads, highs));
}

// Row r of the group: e = exp(score - max) to codes, one set per block.
inline void code_probabilities(const CodedPage& page, int64_t blocks, int64_t seen, int64_t r, const Vec* e,
                               const Workspace& s, Group& group) {
  for (int64_t b = 0; b < blocks; ++b) {
    Vec w[4];
    if (seen == kPageTok) {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) w[i] = e[i] * Vec::load(page.value_weight + b * kPageTok + 16 * i);
      group.factor[r][b] = page.largest[b];
    } else {  // only what the row sees may choose the weights
      Vec v[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        v[i] = select_first(seen - 16 * i, Vec::load(page.value_scale + b * kPageTok + 16 * i), Vec::zero());
      }
      const float most = largest_size(v);
      const Vec stretch = Vec::all(most > 0 ? kProbability / most : 0.0f);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) w[i] = e[i] * (v[i] * stretch);
      group.factor[r][b] = most * (1 / kProbability);
    }
    store_codes(w, s.high + (b * kGroupRows + r) * kPageTok, s.low + (b * kGroupRows + r) * kPageTok);
  }
}

// Scores of R rows from row r of the group on, their exponentials and codes.
template <int R>
inline void softmax_part(const Walk& w, const CodedQueries& q, const CodedPage& page, int64_t page_index, int64_t r,
                         const Workspace& s, Group& group) {
  Vec v[R][4];
#pragma GCC unroll 2
  for (int n = 0; n < R; ++n) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) v[n][i] = Vec::zero();
  }
  for (int64_t b = 0; b < q.blocks; ++b) {
    const int32_t* sums = s.sums + b * kSlotTiles * kSumInts + r * 16;
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const Vec key_scale = Vec::load(page.key_scale + b * kPageTok + 16 * i);
#pragma GCC unroll 2
      for (int n = 0; n < R; ++n) {
        const Vec dots = {_mm512_cvtepi32_ps(_mm512_loadu_si512(sums + i * kSumInts + n * 16))};
        v[n][i] = fma(dots * key_scale, Vec::all(q.scale[(group.row + r + n) * q.blocks + b]), v[n][i]);
      }
    }
  }
  int64_t seen[R];
#pragma GCC unroll 2
  for (int n = 0; n < R; ++n) {
    seen[n] = w.seen(group.row + r + n, page_index);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) v[n][i] = v[n][i] * Vec::all(w.run.scale);
    group.page_max[r + n] = hide_unseen(seen[n], v[n]);
  }
#pragma GCC unroll 2
  for (int n = 0; n < R; ++n) exp_page(seen[n], group.page_max[r + n], v[n]);
#pragma GCC unroll 2
  for (int n = 0; n < R; ++n) {
    group.page_sum[r + n] = sum_tree(((v[n][0] + v[n][1]) + v[n][2]) + v[n][3]);
    code_probabilities(page, q.blocks, seen[n], r + n, v[n], s, group);
  }
}

// Running maxima and sums of the group's rows.
inline void update_sums(const Walk& w, bool first_page, Group& group) {
  const int64_t n = group.rows;
  const Vec page_max = Vec::load_first(group.page_max, n), page_sum = Vec::load_first(group.page_sum, n);
  float *const max_at = w.state.max + group.row, *const sum_at = w.state.sum + group.row;
  const Vec old_max = first_page ? page_max : Vec::load_first(max_at, n);
  const Vec new_max = max(old_max, page_max);
  const Vec shrink = exp(old_max - new_max), grow = exp(page_max - new_max);
  const Vec old_sum = first_page ? Vec::zero() : Vec::load_first(sum_at, n);
  new_max.store_first(max_at, n);
  fma(page_sum, grow, old_sum * shrink).store_first(sum_at, n);
  shrink.store(group.shrink);
  grow.store(group.grow);
}

inline void add_values(const Walk& w, bool first_page, const Workspace& s, const Group& group) {
  const int64_t dh = w.run.head_dim;
  for (int64_t r = 0; r < group.rows; ++r) {
    float* out = w.state.out + (group.row + r) * dh;
    const Vec shrink = Vec::all(group.shrink[r]);
    const int32_t* sums = s.sums + r * 16;
    for (int64_t b = 0; b < dh / kKvBlock; ++b) {
      const Vec factor = Vec::all(group.factor[r][b] * group.grow[r]);
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half, sums += 2 * kSumInts, out += 16) {
        const __m512i high = _mm512_slli_epi32(_mm512_loadu_si512(sums), 8);
        const Vec dots = {_mm512_cvtepi32_ps(_mm512_add_epi32(high, _mm512_loadu_si512(sums + kSumInts)))};
        const Vec old = first_page ? Vec::zero() : Vec::load(out);
        fma(dots, factor, old * shrink).store(out);
      }
    }
  }
}

inline void attend_group(const Walk& w, const CodedQueries& q, const CodedPage& page, int64_t page_index,
                         const Workspace& s, Group& group) {
  const bool first_page = page_index == w.run.page_begin;
  multiply_keys(q.codes + group.row * w.run.head_dim, w.run.head_dim, s.keys, s.sums);
  int64_t r = 0;
  for (; r + 2 <= group.rows; r += 2) softmax_part<2>(w, q, page, page_index, r, s, group);
  if (r < group.rows) softmax_part<1>(w, q, page, page_index, r, s, group);
  multiply_values(s, q.blocks);
  update_sums(w, first_page, group);
  add_values(w, first_page, s, group);
}

template <bool kNibbles>
void attend_tiles(const AttentionRun& run, const AttentionState& state, float* scratch) {
  const Walk w(run, state, nullptr);
  const int64_t dh = run.head_dim, blocks = dh / kKvBlock, page_bytes = row_bytes(run.dtype, 2 * kPageTok * dh);
  Workspace s{};
  s.sums = reinterpret_cast<int32_t*>(scratch);
  s.keys = reinterpret_cast<int8_t*>(s.sums + blocks * 4 * kSumInts);
  s.values = s.keys + kPageTok * dh;
  s.high = s.values + kPageTok * dh;
  s.low = reinterpret_cast<uint8_t*>(s.high + blocks * kGroupRows * kPageTok);
  // Tiles of a last, short group load rows past the queries' codes: whatever lies there.
  auto* const queries = reinterpret_cast<std::byte*>(s.low + blocks * kGroupRows * kPageTok);
  float* const page_memory = reinterpret_cast<float*>(queries + (w.rows + kGroupRows) * (dh + 8 * blocks));
  const CodedQueries q = code_queries<kNibbles>(w, queries);
  const TileConfig config = tile_config(w.rows < kGroupRows ? w.rows : kGroupRows);
  _tile_loadconfig(&config);
  const auto head_of = [&run](int64_t page) { return run.pages[page - run.page_begin]; };
  for (int64_t p = run.page_begin; p < run.page_end; ++p) {
    const std::byte* const next = head_of(p + 1 < run.page_end ? p + 1 : p);
    Fetch fetch{next, p + 1 < run.page_end ? next + page_bytes : next};
    const CodedPage page = open_page<kNibbles>(head_of(p), dh, fetch, page_memory);
    unpack_keys<kNibbles>(page, dh, fetch, s.keys);
    unpack_values<kNibbles>(page, dh, fetch, s.values);
    for (int64_t row = w.first_row(p * kPageTok); row < w.rows; row += kGroupRows) {
      Group group{.row = row, .rows = w.rows - row < kGroupRows ? w.rows - row : kGroupRows};
      attend_group(w, q, page, p, s, group);
    }
  }
  _tile_release();  // an idle thread's tiles need no saving
}

void attention_run_amx(const AttentionRun& run, const AttentionState& state, float* scratch) {
  static const auto vectors = [] {
    RowKernels rows{};
    fill_attention_avx512(rows);
    return rows.attention_run;
  }();
  if (!run.integer || !kv_is_quant(run.dtype) || run.queries * run.group < kLeastRows) {
    vectors(run, state, scratch);
  } else if (run.dtype == DType::kQ8_0) {
    attend_tiles<false>(run, state, scratch);
  } else {
    attend_tiles<true>(run, state, scratch);
  }
}

}  // namespace

void fill_attention_amx(RowKernels& rows) {
  rows.attention_run = attention_run_amx;
}

}  // namespace bantam::kernels

#pragma GCC pop_options
