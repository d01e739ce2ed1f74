// Linear kernels for AMX-INT8: `fast` products of many rows; everything else of the table is AVX-512's.
//
// One TDPBSSD multiplies 16 tokens x 32 k by 32 k x 16 rows of a tile: the codes of one block as they are packed (8
// lines of 16 rows x 4 k) are the B operand, 16 rows of ActBlock::q the A operand, and C is the exact i32 sums of one
// block, started from kMagic's bits. Sums leave through memory (there is no other way out of a tile register) and are
// scaled and added by AVX-512 in the order of linear_kernels.h; types with scales per 16 (twice the
// instructions) are left to AVX-512.
//
// Cycles per 16 tokens x 16 rows x 32 k, measured on a Xeon of 2024 (AVX-512 VNNI: 176 vector operations, 88 cycles):
//   tile unit   16 (one A row a cycle, whatever K is), latency 52
//   port 0      32 = 16 x 2 FMA: while tile instructions are in flight, port 5 takes no multiplications
//   store port  16, + 2 for the running totals
//   load ports  37: C 8, A 7 (shared by two tiles; every third row of ActBlocks crosses a line), B 4, sums 8, d 4, ...
// The loop alone, in L1, takes 37; with everything around it, activations from L2, it is about 80: docs/log.md.
// What makes the units overlap: four C registers, each stored two units after its product was issued (in the order
// store, load, multiply), sums that are scaled one run of units after they were stored, and FMAs between tile
// instructions, which would else wait behind 64 FMAs in the scheduler.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/tile_config.h"
#include "kernels/linear_kernels.h"
#include "kernels/packed_format.h"
#include "quant/iq4_nl.h"

// GCC 12's own intrinsics start from undefined vectors, which it then warns about.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c,gfni,amx-tile,amx-int8")

namespace bantam::kernels {
namespace {

// clang-format off
#include "kernels/cpu/linear_vec_avx512.inl.h"
#include "kernels/cpu/generic/linear_block.inl.h"
// clang-format on

constexpr int kPairTiles = 2;      // row tiles worked on together: they share A and d
constexpr int kRunUnits = 4;       // units whose sums are scaled together
constexpr int64_t kPanelRuns = 2;  // runs of a panel when there are many tokens; with few a panel is one run
constexpr int64_t kPanelBlocks = kPanelRuns * kRunUnits;
constexpr int64_t kTotalsStride = kPairTiles * kTileRows;
// With few tokens the pairs of tiles that are streamed in turns: linear_fast.inl.h's kStreams.
constexpr int64_t kTurnPairs = 2, kFewTokenTiles = 2;
constexpr int64_t kStreamedTokens = 64;  // from here on outputs are stored past the caches

// One unit: a block of two tiles. codes: signed bytes, 16 rows x 4 k a line.
template <DType T>
struct PanelUnit {
  alignas(64) int8_t codes[kPairTiles][8][64];
  float scale[kPairTiles][kTileRows], shift[kPairTiles][kTileRows];
  float add[packed_format(T).has_add() ? kPairTiles : 1][kTileRows];
};

// Sums of one run: [unit][tile][token][row].
struct Sums {
  alignas(64) int32_t h[kRunUnits][kPairTiles][kTileTokens][kTileRows];
};

// What a call lays out in its scratch. Totals of pair p's token tile m: totals[p * (few tiles) + m].
template <DType T>
struct Scratch {
  float totals[kLinearTokens][kTotalsStride];
  PanelUnit<T> panels[2][kPanelBlocks];  // the one multiplied, and the one before: its last sums may wait for scaling
  Sums sums[2];
};

// What every sum starts from, all rows alike. (TILEZERO would need an addition per sum; moreover it makes products wait
// for one another, 52 cycles each, in some processes.)
alignas(64) constexpr int32_t kMagicLine[16] = {kMagicBits, kMagicBits, kMagicBits, kMagicBits, kMagicBits, kMagicBits,
                                                kMagicBits, kMagicBits, kMagicBits, kMagicBits, kMagicBits, kMagicBits,
                                                kMagicBits, kMagicBits, kMagicBits, kMagicBits};

constexpr int kHalfTokens = kTileTokens / 2, kQuarterTokens = kTileTokens / 4;

// Tile registers: 0..3 sums (even and odd units x two tiles), 4..5 activations of even and odd units, 6..7 codes.
// Halves: 8 or 16 tokens.
constexpr TileConfig tile_config(int halves) {
  TileConfig c;
  for (int i = 0; i < 6; ++i) c.rows[i] = static_cast<uint8_t>(halves * kHalfTokens);
  for (int i = 4; i < 6; ++i) c.row_bytes[i] = kBlock;
  for (int i = 6; i < 8; ++i) c.rows[i] = 8;
  return c;
}

// Tile instructions are volatile assembly whose memory operands GCC 12 does not know: keeps stores before loads.
BANTAM_INLINE void finish_stores() {
  __asm__ volatile("" ::: "memory");
}

// Signed codes of group G of a type that is nibbles alone: the affine instruction moves a nibble's bits, and takes 8
// off it (the top bit, inverted, fills what is above), in one step.
template <DType T, int G>
BANTAM_INLINE VI signed_nibbles(const uint8_t* planes) {
  constexpr bool offset = packed_format(T).offset == 8;
  constexpr int64_t top = offset ? 0x08080808 : 0, low = 0x0102040800000000 | top;
  const __m512i matrix = _mm512_set1_epi64(G < 4 ? low : static_cast<int64_t>(static_cast<uint64_t>(low) << 4));
  return _mm512_gf2p8affine_epi64_epi8(i_load(planes + 64 * (G % 4)), matrix, offset ? 0xF8 : 0);
}
template <DType T>
constexpr bool kPlainNibbles = packed_format(T).nibbles&& packed_format(T).bits == 4;
template <DType T, int G = 0>
BANTAM_INLINE void store_codes(const uint8_t* planes, int8_t (*out)[64]) {
  if constexpr (kPlainNibbles<T>) {
    i_store(out[G], signed_nibbles<T, G>(planes));
  } else {
    i_store(out[G], _mm512_sub_epi8(load_code<T, G>(planes), i_set8(kOffset<T>)));
  }
  if constexpr (G < 7) store_codes<T, G + 1>(planes, out);
}

// ahead: bytes from the block to what L1, and twice that to what L2 is to fetch; 0: nothing.
template <DType T>
BANTAM_INLINE void unpack_block(const uint8_t* tile, int64_t block, int place, int64_t ahead, PanelUnit<T>* out) {
  constexpr PackedFormat f = packed_format(T);
  const uint8_t *header = tile + f.header_at(block), *planes = tile + f.codes_at(block);
  if (ahead > 0) {
    prefetch_lines<f.code_bytes(), _MM_HINT_T1>(planes + 2 * ahead);
    prefetch_lines<f.code_bytes()>(planes + ahead);
  }
  store_codes<T>(planes, out->codes[place]);
  const BlockScales s = load_scales<T>(load_group<T>(header, 0), header, block % f.group_blocks(), 0);
  f_store(out->scale[place], s.scale[0]);
  f_store(out->shift[place], shift_of(s.scale[0]));
  if constexpr (f.has_add()) f_store(out->add[place], s.add[0]);
}

// Blocks [block, block + count) of a pair of tiles, of which the last may be missing. stride: blocks from one panel of
// the pair to the next.
template <DType T>
void unpack_pair(const PackedMatrix& w, int64_t tile, int64_t tiles, int64_t block, int64_t count, int64_t stride,
                 PanelUnit<T>* out) {
  constexpr PackedFormat f = packed_format(T);
  const int64_t bytes = tile_bytes(T, w.cols);
  const int64_t ahead = stride > kRunUnits ? stride * f.group_bytes() / f.group_blocks() : 0;
  for (int64_t r = 0; r < kPairTiles; ++r) {
    const auto* from = reinterpret_cast<const uint8_t*>(w.data) + (tile + (r < tiles ? r : 0)) * bytes;
    for (int64_t i = 0; i < count; ++i) unpack_block<T>(from, block + i, static_cast<int>(r), ahead, out + i);
  }
  finish_stores();
}

// One run: up to kRunUnits units of a panel for one token tile.
template <DType T>
struct Run {
  int units = 0;
  const PanelUnit<T>* panel = nullptr;
  const ActTile* acts = nullptr;  // of its first unit's block
  float* totals = nullptr;
  Sums* sums = nullptr;
};

// Loads the operands of unit S, stores what sum register R of its pair holds, multiplies into that register.
template <DType T, int S>
BANTAM_INLINE void load_operands(const ActTile* acts, const PanelUnit<T>* panel) {
  if constexpr (S % 2 == 0) {
    _tile_loadd(4, acts[S].q, kBlock);
  } else {
    _tile_loadd(5, acts[S].q, kBlock);
  }
  _tile_loadd(6, panel[S].codes[0], 64);
  _tile_loadd(7, panel[S].codes[1], 64);
}
template <int S, int R>
BANTAM_INLINE void store_sums(Sums* sums, int unit) {
  auto* to = sums->h[unit][R];
  if constexpr (S % 2 == 0 && R == 0) _tile_stored(0, to, 64);
  if constexpr (S % 2 == 0 && R == 1) _tile_stored(1, to, 64);
  if constexpr (S % 2 == 1 && R == 0) _tile_stored(2, to, 64);
  if constexpr (S % 2 == 1 && R == 1) _tile_stored(3, to, 64);
}
template <int S, int R>
BANTAM_INLINE void multiply() {
  if constexpr (S % 2 == 0 && R == 0) {
    _tile_loadd(0, kMagicLine, 0);
    _tile_dpbssd(0, 4, 6);
  } else if constexpr (S % 2 == 0) {
    _tile_loadd(1, kMagicLine, 0);
    _tile_dpbssd(1, 4, 7);
  } else if constexpr (R == 0) {
    _tile_loadd(2, kMagicLine, 0);
    _tile_dpbssd(2, 5, 6);
  } else {
    _tile_loadd(3, kMagicLine, 0);
    _tile_dpbssd(3, 5, 7);
  }
}

using Totals = VF[kHalfTokens][kPairTiles];

struct PairScales {
  VF scale[kPairTiles], shift[kPairTiles], add[kPairTiles];
};
template <DType T>
BANTAM_INLINE void load_pair_scales(const PanelUnit<T>& unit, PairScales& s) {
#pragma GCC unroll 2
  for (int r = 0; r < kPairTiles; ++r) {
    s.scale[r] = f_load(unit.scale[r]);
    s.shift[r] = f_load(unit.shift[r]);
    if constexpr (packed_format(T).has_add()) s.add[r] = f_load(unit.add[r]);
  }
}

// total += unit `unit` of a run for kQuarterTokens tokens from token First of half Half on.
template <DType T, int Half, int First>
BANTAM_INLINE void scale_unit(const ActTile& a, const Sums& sums, int unit, const PairScales& s, Totals& total) {
  constexpr int token = Half * kHalfTokens + First;
#pragma GCC unroll 4
  for (int n = 0; n < kQuarterTokens; ++n) {
    const VF d = f_set(a.d[token + n]);
#pragma GCC unroll 2
    for (int r = 0; r < kPairTiles; ++r) {
      VF t = f_fma(f_from_bits(i_load(sums.h[unit][r][token + n])), s.scale[r], s.shift[r]);
      if constexpr (packed_format(T).has_add()) t = f_fma(f_set(a.sum[token + n]), s.add[r], t);
      total[First + n][r] = f_fma(t, d, total[First + n][r]);
    }
  }
}

BANTAM_INLINE void load_totals(const float* from, Totals& total) {
#pragma GCC unroll 8
  for (int n = 0; n < kHalfTokens; ++n) {
#pragma GCC unroll 2
    for (int r = 0; r < kPairTiles; ++r) total[n][r] = f_load(from + n * kTotalsStride + r * kTileRows);
  }
}
BANTAM_INLINE void save_totals(float* to, const Totals& total) {
#pragma GCC unroll 8
  for (int n = 0; n < kHalfTokens; ++n) {
#pragma GCC unroll 2
    for (int r = 0; r < kPairTiles; ++r) f_store(to + n * kTotalsStride + r * kTileRows, total[n][r]);
  }
}

// Step S of a full run with 16 tokens: multiplies unit S of the present run (acts, panel), having stored in `to`[unit]
// the sums that its registers hold, while two units of the run before (_b) are scaled for half of its tokens.
template <DType T, int S>
BANTAM_INLINE void step(const ActTile* acts, const PanelUnit<T>* panel, Sums* to, const ActTile* acts_b,
                        const PanelUnit<T>* panel_b, const Sums* sums_b, Totals& total) {
  constexpr int half = S / 2, u = S % 2 * 2, stored = (S + 2) % 4;
  PairScales s;
  load_operands<T, S>(acts, panel);
  load_pair_scales<T>(panel_b[u], s);
  scale_unit<T, half, 0>(acts_b[u], *sums_b, u, s, total);
  store_sums<S, 0>(to, stored);
  scale_unit<T, half, kQuarterTokens>(acts_b[u], *sums_b, u, s, total);
  store_sums<S, 1>(to, stored);
  load_pair_scales<T>(panel_b[u + 1], s);
  scale_unit<T, half, 0>(acts_b[u + 1], *sums_b, u + 1, s, total);
  multiply<S, 0>();
  scale_unit<T, half, kQuarterTokens>(acts_b[u + 1], *sums_b, u + 1, s, total);
  multiply<S, 1>();
}
// The same with 8 tokens: unit S of the run before is scaled.
template <DType T, int S>
BANTAM_INLINE void step_half(const ActTile* acts, const PanelUnit<T>* panel, Sums* to, const ActTile* acts_b,
                             const PanelUnit<T>* panel_b, const Sums* sums_b, Totals& total) {
  constexpr int stored = (S + 2) % 4;
  PairScales s;
  load_operands<T, S>(acts, panel);
  load_pair_scales<T>(panel_b[S], s);
  store_sums<S, 0>(to, stored);
  store_sums<S, 1>(to, stored);
  scale_unit<T, 0, 0>(acts_b[S], *sums_b, S, s, total);
  multiply<S, 0>();
  scale_unit<T, 0, kQuarterTokens>(acts_b[S], *sums_b, S, s, total);
  multiply<S, 1>();
}

// With few tokens: what L1 and L2 are to fetch of a pair of tiles, a run's bytes each. The fetches stand between the
// tile instructions of a run: in a burst they would hold up what is needed now.
struct Fetch {
  const uint8_t *near[kPairTiles], *far[kPairTiles];
};
template <DType T, int S>
BANTAM_INLINE void fetch_part(const Fetch& fetch) {
  constexpr PackedFormat f = packed_format(T);
  constexpr int bytes = (kRunUnits * f.group_bytes() / f.group_blocks() / 4 + 63) / 64 * 64;
#pragma GCC unroll 2
  for (int r = 0; r < kPairTiles; ++r) {
    prefetch_lines<bytes, _MM_HINT_T1>(fetch.far[r] + S * bytes);
    prefetch_lines<bytes>(fetch.near[r] + S * bytes);
  }
}

// Multiplies a full run while a full one before it is scaled. Pointers instead of Runs: what GCC reads through a
// reference it reads again after every tile instruction (10 % of time).
template <DType T, int Halves, bool Fetches>
__attribute__((noinline)) void advance_full(const ActTile* acts, const PanelUnit<T>* panel, Sums* sums,
                                            const ActTile* acts_b, const PanelUnit<T>* panel_b, Sums* sums_b,
                                            float* totals, const Fetch* fetch) {
  Totals total;
  load_totals(totals, total);
  if constexpr (Halves == 1) {
    if constexpr (Fetches) fetch_part<T, 0>(*fetch);
    step_half<T, 0>(acts, panel, sums_b, acts_b, panel_b, sums_b, total);
    if constexpr (Fetches) fetch_part<T, 1>(*fetch);
    step_half<T, 1>(acts, panel, sums_b, acts_b, panel_b, sums_b, total);
    if constexpr (Fetches) fetch_part<T, 2>(*fetch);
    step_half<T, 2>(acts, panel, sums, acts_b, panel_b, sums_b, total);
    if constexpr (Fetches) fetch_part<T, 3>(*fetch);
    step_half<T, 3>(acts, panel, sums, acts_b, panel_b, sums_b, total);
  } else {
    if constexpr (Fetches) fetch_part<T, 0>(*fetch);
    step<T, 0>(acts, panel, sums_b, acts_b, panel_b, sums_b, total);
    if constexpr (Fetches) fetch_part<T, 1>(*fetch);
    step<T, 1>(acts, panel, sums_b, acts_b, panel_b, sums_b, total);
    save_totals(totals, total);
    totals += kHalfTokens * kTotalsStride;
    load_totals(totals, total);
    if constexpr (Fetches) fetch_part<T, 2>(*fetch);
    step<T, 2>(acts, panel, sums, acts_b, panel_b, sums_b, total);
    if constexpr (Fetches) fetch_part<T, 3>(*fetch);
    step<T, 3>(acts, panel, sums, acts_b, panel_b, sums_b, total);
  }
  save_totals(totals, total);
}

// Scales a whole run whose sums are all stored.
template <DType T, int Half>
void scale_half(const Run<T>& run) {
  Totals total;
  float* totals = run.totals + Half * kHalfTokens * kTotalsStride;
  load_totals(totals, total);
  for (int u = 0; u < run.units; ++u) {
    PairScales s;
    load_pair_scales<T>(run.panel[u], s);
    scale_unit<T, Half, 0>(run.acts[u], *run.sums, u, s, total);
    scale_unit<T, Half, kQuarterTokens>(run.acts[u], *run.sums, u, s, total);
  }
  save_totals(totals, total);
}

template <DType T, int S>
void multiply_unit(const Run<T>& run) {
  if (S >= run.units) return;
  if (S >= 2) {
    store_sums<S, 0>(run.sums, S - 2);
    store_sums<S, 1>(run.sums, S - 2);
  }
  load_operands<T, S>(run.acts, run.panel);
  multiply<S, 0>();
  multiply<S, 1>();
}

// A pipeline of runs: every run is multiplied while the one before is scaled.
template <DType T, int Halves>
struct Pipeline {
  Run<T> before;
  int buffer = 0;

  // fetch: or null
  void push(const Run<T>& now, const Fetch* fetch) {
    if (before.units == kRunUnits && now.units == kRunUnits) {
      const auto advance = fetch == nullptr ? advance_full<T, Halves, false> : advance_full<T, Halves, true>;
      advance(now.acts, now.panel, now.sums, before.acts, before.panel, before.sums, before.totals, fetch);
    } else {
      finish();
      multiply_unit<T, 0>(now);
      multiply_unit<T, 1>(now);
      multiply_unit<T, 2>(now);
      multiply_unit<T, 3>(now);
    }
    before = now;
    buffer ^= 1;
  }
  // Scales what is still in the registers and in before.sums.
  void finish() {
    if (before.units == 0) return;
    const int last = before.units - 1, even = last & ~1, odd = (last - 1) | 1;
    store_sums<0, 0>(before.sums, even);
    store_sums<0, 1>(before.sums, even);
    if (last > 0) {
      store_sums<1, 0>(before.sums, odd);
      store_sums<1, 1>(before.sums, odd);
    }
    finish_stores();
    scale_half<T, 0>(before);
    if constexpr (Halves == 2) scale_half<T, 1>(before);
    before.units = 0;
  }
};

// Totals of `tiles` tiles and many tokens to `out`, past the caches where that can be: rows lie far apart, and reading
// their lines first took 10 % of prefill's time.
void store_many(const LinearJob& job, int64_t tile, int64_t tiles, int64_t first, int64_t tokens, const float* totals) {
  const bool past_caches = tokens >= kStreamedTokens && job.residual == nullptr && job.out_stride % 16 == 0 &&
                           reinterpret_cast<uintptr_t>(job.out) % 64 == 0 &&
                           (tile + tiles) * kTileRows <= job.weight.rows;
  for (int64_t m = 0; m < tokens; ++m, totals += kTotalsStride) {
    float* out = job.out + (first + m) * job.out_stride + tile * kTileRows;
    for (int64_t t = 0; t < tiles; ++t) {
      if (past_caches) {
        VF v = f_load(totals + t * kTileRows);
        if (job.bias != nullptr) v = f_add(v, f_load(job.bias + (tile + t) * kTileRows));
        _mm512_stream_ps(out + t * kTileRows, v);
      } else {
        store_totals(job, tile + t, first + m, totals + t * kTileRows);
      }
    }
  }
  _mm_sfence();  // before the barrier that follows says that they are there
}

// What to fetch while blocks [b, b + kRunUnits) of a pair are multiplied: the pair's next run into L1, the one after it
// into L2; at the end of the tiles those of the pair `step` tiles further.
template <DType T>
Fetch fetch_of(const PackedMatrix& w, int64_t tile, int64_t step, int64_t b) {
  constexpr PackedFormat f = packed_format(T);
  const int64_t bytes = tile_bytes(T, w.cols), run = kRunUnits * f.group_bytes() / f.group_blocks();
  const int64_t at = b / kRunUnits * run;
  const auto place = [&](int64_t tile_at, int64_t from) {
    return reinterpret_cast<const uint8_t*>(w.data) + tile_at * bytes + from + (from >= bytes ? (step - 1) * bytes : 0);
  };
  return {{place(tile, at + run), place(tile + 1, at + run)},
          {place(tile, at + 2 * run), place(tile + 1, at + 2 * run)}};
}

// Tiles [tile, tile + tiles), up to kTurnPairs pairs (a last single tile is taken twice), for tokens [first, first +
// tokens).
template <DType T, int Halves>
void run_pairs(const LinearJob& job, int64_t tile, int64_t tiles, int64_t first, int64_t tokens, Scratch<T>* s) {
  const int64_t blocks = job.weight.cols / kBlock, pairs = (tiles + 1) / 2;
  const int64_t token_tiles = (tokens + kTileTokens - 1) / kTileTokens;
  const int64_t panel_blocks = token_tiles <= kFewTokenTiles ? kRunUnits : kPanelBlocks;
  __builtin_memset(s->totals, 0, static_cast<size_t>(pairs * token_tiles * kTileTokens) * sizeof s->totals[0]);
  Pipeline<T, Halves> pipeline;
  int slot = 0;
  for (int64_t b = 0; b < blocks; b += panel_blocks) {
    const int64_t count = blocks - b < panel_blocks ? blocks - b : panel_blocks;
    for (int64_t p = 0; p < pairs; ++p, slot ^= 1) {
      // With few tokens both panels lie side by side: together with sums and activations they fit L1.
      PanelUnit<T>* panel = s->panels[0] + slot * panel_blocks;
      unpack_pair<T>(job.weight, tile + 2 * p, tiles - 2 * p < kPairTiles ? 1 : kPairTiles, b, count, panel_blocks,
                     panel);
      const Fetch fetch = fetch_of<T>(job.weight, tile + 2 * p, tiles, b);
      for (int64_t m = 0; m < token_tiles; ++m) {
        const ActTile* acts = job.tiles + (first / kTileTokens + m) * job.tiles_stride + b;
        for (int64_t u = 0; u < count; u += kRunUnits) {
          pipeline.push({.units = static_cast<int>(count - u < kRunUnits ? count - u : kRunUnits),
                         .panel = panel + u,
                         .acts = acts + u,
                         .totals = s->totals[(p * token_tiles + m) * kTileTokens],
                         .sums = &s->sums[pipeline.buffer]},
                        m == 0 && panel_blocks == kRunUnits ? &fetch : nullptr);
        }
      }
    }
  }
  pipeline.finish();
  for (int64_t p = 0; p < pairs; ++p) {
    const int64_t here = tiles - 2 * p < kPairTiles ? 1 : kPairTiles;
    store_many(job, tile + 2 * p, here, first, tokens, s->totals[p * token_tiles * kTileTokens]);
  }
}

// Tokens of one pass over the weights: so many that their activations stay in a core's L2 (2 MiB with every AMX) while
// all tiles of the call pass.
int64_t pass_tokens(int64_t cols) {
  constexpr int64_t bytes = int64_t{1728} << 10;
  const int64_t fit = bytes / (act_stride(cols) * static_cast<int64_t>(sizeof(ActBlock))) / kTileTokens * kTileTokens;
  return fit < 64 ? 64 : fit > kLinearTokens ? kLinearTokens : fit;
}

template <DType T, int Halves>
void run_tiles(const LinearJob& job, int64_t tile_begin, int64_t tile_end, std::byte* scratch) {
  static_assert(sizeof(Scratch<T>) <= kLinearScratchBytes);
  static constexpr TileConfig config = tile_config(Halves);
  _tile_loadconfig(&config);
  const int64_t most = pass_tokens(job.weight.cols), passes = (job.m + most - 1) / most;
  const int64_t pass = (job.m + passes * kTileTokens - 1) / (passes * kTileTokens) * kTileTokens;
  const int64_t step = kPairTiles * (job.m <= kFewTokenTiles * kTileTokens ? kTurnPairs : 1);
  for (int64_t first = 0; first < job.m; first += pass) {
    const int64_t tokens = job.m - first < pass ? job.m - first : pass;
    for (int64_t tile = tile_begin; tile < tile_end; tile += step) {
      const int64_t tiles = tile_end - tile < step ? tile_end - tile : step;
      run_pairs<T, Halves>(job, tile, tiles, first, tokens, reinterpret_cast<Scratch<T>*>(scratch));
    }
  }
  _tile_release();  // an idle thread's tiles need no saving
}

template <DType T>
void run_type(const LinearJob& job, int64_t tile_begin, int64_t tile_end, std::byte* scratch) {
  if (job.m <= kHalfTokens) return run_tiles<T, 1>(job, tile_begin, tile_end, scratch);
  return run_tiles<T, 2>(job, tile_begin, tile_end, scratch);
}

// Whether tiles beat vectors.
bool tiled(DType dtype, int64_t m) {
  return m > kHalfTokens && packed_format(dtype).halves() == 1;
}

// Rows of x as ActTiles: see LinearKernels.
void quantize_tiles(const float* x, int64_t x_stride, int64_t cols, int64_t rows, int64_t tile_begin, int64_t tile_end,
                    ActTile* out, int64_t out_stride) {
  for (int64_t tile = tile_begin; tile < tile_end; ++tile) {
    const int64_t first = tile * kTileTokens, here = rows - first < kTileTokens ? rows - first : kTileTokens;
    for (int64_t b = 0; b < cols / kBlock; ++b) {
      ActTile& to = out[tile * out_stride + b];
      if (here < kTileTokens) to = ActTile{};
      for (int64_t n = 0; n < here; ++n) {
        ActBlock block;
        quantize_block(x + (first + n) * x_stride + b * kBlock, &block);
        __builtin_memcpy(to.q[n], block.q, kBlock);
        to.d[n] = block.d;
        to.sum[n] = static_cast<float>(block.sum[0] + block.sum[1]);
      }
    }
  }
}

void run_fast_amx(const LinearJob& job, int64_t tile_begin, int64_t tile_end, std::byte* scratch) {
  const DType dtype = job.weight.dtype;
  if (!tiled(dtype, job.m)) {
    static const LinearKernels::RunFn few = [] {
      LinearKernels kernels;
      fill_linear_avx512(kernels);
      return kernels.fast;
    }();
    return few(job, tile_begin, tile_end, scratch);
  }
  switch (dtype) {
    case DType::kQ8_0:
      return run_type<DType::kQ8_0>(job, tile_begin, tile_end, scratch);
    case DType::kQ4_0:
      return run_type<DType::kQ4_0>(job, tile_begin, tile_end, scratch);
    case DType::kQ4_1:
      return run_type<DType::kQ4_1>(job, tile_begin, tile_end, scratch);
    case DType::kQ5_0:
      return run_type<DType::kQ5_0>(job, tile_begin, tile_end, scratch);
    case DType::kQ5_1:
      return run_type<DType::kQ5_1>(job, tile_begin, tile_end, scratch);
    case DType::kQ4_K:
      return run_type<DType::kQ4_K>(job, tile_begin, tile_end, scratch);
    case DType::kQ5_K:
      return run_type<DType::kQ5_K>(job, tile_begin, tile_end, scratch);
    case DType::kBQ4:
      return run_type<DType::kBQ4>(job, tile_begin, tile_end, scratch);
    case DType::kIQ4_NL:
      return run_type<DType::kIQ4_NL>(job, tile_begin, tile_end, scratch);
    default:
      return run_type<DType::kIQ4_XS>(job, tile_begin, tile_end, scratch);
  }
}

}  // namespace

void fill_linear_amx(LinearKernels& kernels) {
  kernels.fast = run_fast_amx;
  kernels.tiled = tiled;
  kernels.quantize_tiles = quantize_tiles;
}

}  // namespace bantam::kernels

#pragma GCC pop_options
