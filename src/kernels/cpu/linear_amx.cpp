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
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c,amx-tile,amx-int8")

namespace bantam::kernels {
namespace {

// clang-format off
#include "kernels/cpu/linear_vec_avx512.inl.h"
#include "kernels/cpu/generic/linear_block.inl.h"
// clang-format on

constexpr int kTileTokens = 16;  // tokens of one A operand
constexpr int kPairTiles = 2;    // row tiles worked on together: they share A and d
constexpr int64_t kPanelBlocks = 8;
constexpr int kRunUnits = 4;  // units whose sums are scaled together
constexpr int64_t kTotalsStride = kPairTiles * kTileRows;
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

// Sums of activations per unit, as floats, of one token tile.
template <DType T>
struct ActSums {
  alignas(64) float sum[kTileTokens][kPanelBlocks];
};

// What a call lays out in its scratch.
template <DType T>
struct Scratch {
  float totals[kLinearTokens][kTotalsStride];
  PanelUnit<T> panel[kPanelBlocks];
  Sums sums[2];
  ActBlock last[kTileTokens][kPanelBlocks];  // the last token tile's, filled up with zeros
  ActSums<T> act_sums[2];                    // of even and odd token tiles
};

// What every sum starts from, all rows alike. (TILEZERO would need a conversion per sum, on the port that is short;
// moreover it made products wait for one another, 52 cycles each, in about every second process.)
alignas(64) constexpr int32_t kMagicLine[16] = {kMagicBits, kMagicBits, kMagicBits, kMagicBits, kMagicBits, kMagicBits,
                                                kMagicBits, kMagicBits, kMagicBits, kMagicBits, kMagicBits, kMagicBits,
                                                kMagicBits, kMagicBits, kMagicBits, kMagicBits};

// Tile registers: 0..3 sums (even and odd units x two tiles), 4..5 activations of even and odd units, 6..7 codes.
constexpr TileConfig tile_config() {
  TileConfig c;
  for (int i = 4; i < 6; ++i) c.row_bytes[i] = kBlock;
  for (int i = 6; i < 8; ++i) c.rows[i] = 8;
  return c;
}

// Tile instructions are volatile assembly whose memory operands GCC 12 does not know: keeps stores before loads.
BANTAM_INLINE void finish_stores() {
  __asm__ volatile("" ::: "memory");
}

template <DType T>
void unpack_block(const uint8_t* tile, int64_t block, int place, PanelUnit<T>* out) {
  constexpr PackedFormat f = packed_format(T);
  const uint8_t* header = tile + f.header_at(block);
  prefetch_lines<f.code_bytes()>(tile + f.codes_at(block + kPanelBlocks));  // for the next panel
  VI codes[8];
  load_codes<T>(tile + f.codes_at(block), codes);
  const BlockScales s = load_scales<T>(load_group<T>(header, 0), header, block % f.group_blocks(), 0);
#pragma GCC unroll 8
  for (int g = 0; g < 8; ++g) i_store(out->codes[place][g], _mm512_sub_epi8(codes[g], i_set8(kOffset<T>)));
  f_store(out->scale[place], s.scale[0]);
  f_store(out->shift[place], shift_of(s.scale[0]));
  if constexpr (f.has_add()) f_store(out->add[place], s.add[0]);
}

// Sums of a token tile's blocks, for the additive terms.
template <DType T>
void gather_sums(const ActBlock* acts, int64_t stride, int64_t blocks, ActSums<T>* out) {
  static_assert(kPanelBlocks == 8);
  const auto present = static_cast<__mmask8>((1 << blocks) - 1);
  const __m256i places = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i offsets = _mm256_mullo_epi32(places, _mm256_set1_epi32(sizeof(ActBlock)));
#pragma GCC unroll 2
  for (int n = 0; n < kTileTokens; ++n) {
    const __m256i pairs =
        _mm256_mmask_i32gather_epi32(_mm256_setzero_si256(), present, offsets, acts[n * stride].sum, 1);
    _mm256_store_ps(out->sum[n], _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1))));
  }
}

// One run: up to kRunUnits units of a panel for one token tile.
template <DType T>
struct Run {
  int units = 0;
  const PanelUnit<T>* panel = nullptr;
  const ActBlock* acts = nullptr;  // of its first unit's block
  int64_t stride = 0;              // blocks between tokens
  const float* act_sums = nullptr;
  float* totals = nullptr;
  Sums* sums = nullptr;
};

// Loads the operands of unit S, stores what sum register R of its pair holds, multiplies into that register.
template <DType T, int S>
BANTAM_INLINE void load_operands(const Run<T>& run) {
  const PanelUnit<T>* w = run.panel + S;
  const int8_t* q = run.acts[S].q;
  const int64_t stride = run.stride * static_cast<int64_t>(sizeof(ActBlock));
  if constexpr (S % 2 == 0) {
    _tile_loadd(4, q, stride);
  } else {
    _tile_loadd(5, q, stride);
  }
  _tile_loadd(6, w->codes[0], 64);
  _tile_loadd(7, w->codes[1], 64);
}
template <int S, int R>
BANTAM_INLINE void store_sums(int32_t (*to)[kTileTokens][kTileRows]) {
  if constexpr (S % 2 == 0 && R == 0) _tile_stored(0, to[R], 64);
  if constexpr (S % 2 == 0 && R == 1) _tile_stored(1, to[R], 64);
  if constexpr (S % 2 == 1 && R == 0) _tile_stored(2, to[R], 64);
  if constexpr (S % 2 == 1 && R == 1) _tile_stored(3, to[R], 64);
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

constexpr int kHalfTokens = kTileTokens / 2, kQuarterTokens = kTileTokens / 4;
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
BANTAM_INLINE void scale_unit(const Run<T>& run, int unit, const PairScales& s, Totals& total) {
  constexpr int token = Half * kHalfTokens + First;
  const ActBlock* a = run.acts + token * run.stride + unit;
#pragma GCC unroll 4
  for (int n = 0; n < kQuarterTokens; ++n) {
    const VF d = f_set(a[n * run.stride].d);
#pragma GCC unroll 2
    for (int r = 0; r < kPairTiles; ++r) {
      VF t = f_fma(f_from_bits(i_load(run.sums->h[unit][r][token + n])), s.scale[r], s.shift[r]);
      if constexpr (packed_format(T).has_add()) {
        t = f_fma(f_set(run.act_sums[(token + n) * kPanelBlocks + unit]), s.add[r], t);
      }
      total[First + n][r] = f_fma(t, d, total[First + n][r]);
    }
  }
}

// Step S of a run: multiplies unit S of `now`, having stored the sums that its registers hold, while two units of
// `before` are scaled for half of its tokens. Full: both runs have all kRunUnits units; else nothing of `before` is
// left in the registers.
template <DType T, int S, bool Full>
BANTAM_INLINE void step(const Run<T>& before, const Run<T>& now, Totals& total) {
  constexpr int half = S / 2, u = S % 2 * 2;
  const bool multiplies = Full || S < now.units, stores = S < 2 ? Full : multiplies;
  const bool scales0 = Full || u < before.units, scales1 = Full || u + 1 < before.units;
  auto* to = S < 2 ? before.sums->h[2 + S % 2] : now.sums->h[S % 2];
  PairScales s;
  if (multiplies) load_operands<T, S>(now);
  if (scales0) {
    load_pair_scales<T>(before.panel[u], s);
    scale_unit<T, half, 0>(before, u, s, total);
  }
  if (stores) store_sums<S, 0>(to);
  if (scales0) scale_unit<T, half, kQuarterTokens>(before, u, s, total);
  if (stores) store_sums<S, 1>(to);
  if (scales1) {
    load_pair_scales<T>(before.panel[u + 1], s);
    scale_unit<T, half, 0>(before, u + 1, s, total);
  }
  if (multiplies) multiply<S, 0>();
  if (scales1) scale_unit<T, half, kQuarterTokens>(before, u + 1, s, total);
  if (multiplies) multiply<S, 1>();
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

// Stores what the registers hold when a run of `units` ends: the last even and the last odd unit.
BANTAM_INLINE void store_last(int units, Sums* sums) {
  auto* even = sums->h[(units - 1) & ~1];
  store_sums<0, 0>(even);
  store_sums<0, 1>(even);
  if (units < 2) return;
  auto* odd = sums->h[((units - 2) & ~1) + 1];
  store_sums<1, 0>(odd);
  store_sums<1, 1>(odd);
}

// Multiplies run `now` while the sums of run `before` are scaled.
template <DType T, bool Full>
__attribute__((noinline)) void advance(const Run<T>& before, const Run<T>& now) {
  float* totals = before.totals;
  Totals total;
  if (!Full && before.units > 0) store_last(before.units, before.sums);
  load_totals(totals, total);
  step<T, 0, Full>(before, now, total);
  step<T, 1, Full>(before, now, total);
  save_totals(totals, total);
  load_totals(totals + kHalfTokens * kTotalsStride, total);
  step<T, 2, Full>(before, now, total);
  step<T, 3, Full>(before, now, total);
  save_totals(totals + kHalfTokens * kTotalsStride, total);
}

// All token tiles over one unpacked panel of `blocks` blocks.
template <DType T>
void panel_pass(const ActBlock* acts, int64_t act_stride, int64_t blocks, int64_t tokens, Scratch<T>* s) {
  const int units = static_cast<int>(blocks);
  Run<T> before{.totals = s->totals[0], .sums = &s->sums[1]};
  int buffer = 0;
  for (int64_t m = 0; m < tokens; m += kTileTokens) {
    const ActBlock* a = acts + m * act_stride;
    int64_t stride = act_stride;
    if (tokens - m < kTileTokens) {
      for (int64_t n = 0; n < kTileTokens; ++n) {
        for (int64_t b = 0; b < blocks; ++b) s->last[n][b] = n < tokens - m ? a[n * stride + b] : ActBlock{};
      }
      a = s->last[0];
      stride = kPanelBlocks;
    }
    ActSums<T>* sums = &s->act_sums[m / kTileTokens % 2];
    if constexpr (packed_format(T).has_add()) gather_sums<T>(a, stride, blocks, sums);
    for (int u = 0; u < units; u += kRunUnits) {
      const Run<T> now{.units = units - u < kRunUnits ? units - u : kRunUnits,
                       .panel = s->panel + u,
                       .acts = a + u,
                       .stride = stride,
                       .act_sums = sums->sum[0] + u,
                       .totals = s->totals[m],
                       .sums = &s->sums[buffer]};
      if (before.units == kRunUnits && now.units == kRunUnits) {
        advance<T, true>(before, now);
      } else {
        advance<T, false>(before, now);
      }
      before = now;
      buffer ^= 1;
    }
  }
  advance<T, false>(before, Run<T>{.panel = s->panel, .acts = acts, .sums = &s->sums[buffer]});
}

// One pair of tiles (or a last single one, taken twice) for tokens [first, first + tokens).
template <DType T>
void run_pair(const LinearJob& job, int64_t tile, int64_t tiles, int64_t first, int64_t tokens, Scratch<T>* s) {
  const int64_t blocks = job.weight.cols / kBlock, bytes = tile_bytes(T, job.weight.cols);
  const auto* packed = reinterpret_cast<const uint8_t*>(job.weight.data) + tile * bytes;
  const int64_t rows = (tokens + kTileTokens - 1) / kTileTokens * kTileTokens;
  __builtin_memset(s->totals, 0, static_cast<size_t>(rows) * sizeof s->totals[0]);
  for (int64_t b = 0; b < blocks; b += kPanelBlocks) {
    const int64_t count = blocks - b < kPanelBlocks ? blocks - b : kPanelBlocks;
    for (int r = 0; r < kPairTiles; ++r) {
      for (int64_t i = 0; i < count; ++i) {
        unpack_block<T>(packed + (r < tiles ? r : 0) * bytes, b + i, r, s->panel + i);
      }
    }
    finish_stores();
    panel_pass<T>(job.q + first * job.q_stride + b, job.q_stride, count, tokens, s);
  }
  for (int64_t m = 0; m < tokens; ++m) {
    for (int64_t t = 0; t < tiles; ++t) store_totals(job, tile + t, first + m, s->totals[m] + t * kTileRows);
  }
}

// Tokens of one pass over the weights: so many that their activations stay in a core's L2 (2 MiB with every AMX) while
// all tiles of the call pass.
int64_t pass_tokens(int64_t cols) {
  constexpr int64_t bytes = int64_t{1728} << 10;
  const int64_t fit = bytes / (act_stride(cols) * static_cast<int64_t>(sizeof(ActBlock))) / kTileTokens * kTileTokens;
  return fit < 64 ? 64 : fit > kLinearTokens ? kLinearTokens : fit;
}

template <DType T>
void run_tiles(const LinearJob& job, int64_t tile_begin, int64_t tile_end, std::byte* scratch) {
  static_assert(sizeof(Scratch<T>) <= kLinearScratchBytes);
  static constexpr TileConfig config = tile_config();
  _tile_loadconfig(&config);
  const int64_t most = pass_tokens(job.weight.cols), passes = (job.m + most - 1) / most;
  const int64_t pass = (job.m + passes * kTileTokens - 1) / (passes * kTileTokens) * kTileTokens;
  for (int64_t first = 0; first < job.m; first += pass) {
    const int64_t tokens = job.m - first < pass ? job.m - first : pass;
    for (int64_t tile = tile_begin; tile < tile_end; tile += kPairTiles) {
      const int64_t tiles = tile_end - tile < kPairTiles ? tile_end - tile : kPairTiles;
      run_pair<T>(job, tile, tiles, first, tokens, reinterpret_cast<Scratch<T>*>(scratch));
    }
  }
  _tile_release();  // an idle thread's tiles need no saving
}

// Whether tiles beat vectors. In ns per 16 rows x 32 k (q4_0): tiles 10 + 25 per token tile, however few of its rows
// are filled; AVX-512 6 + 2 per token.
constexpr bool worth_tiles(int64_t tokens) {
  return 4 + 25 * ((tokens + kTileTokens - 1) / kTileTokens) <= 2 * tokens;
}

void run_fast_amx(const LinearJob& job, int64_t tile_begin, int64_t tile_end, std::byte* scratch) {
  const DType dtype = job.weight.dtype;
  if (!worth_tiles(job.m) || packed_format(dtype).halves() == 2 || dtype == DType::kBQ4) {
    static const LinearKernels::RunFn few = [] {
      LinearKernels kernels;
      fill_linear_avx512(kernels);
      return kernels.fast;
    }();
    return few(job, tile_begin, tile_end, scratch);
  }
  switch (dtype) {
    case DType::kQ8_0:
      return run_tiles<DType::kQ8_0>(job, tile_begin, tile_end, scratch);
    case DType::kQ4_0:
      return run_tiles<DType::kQ4_0>(job, tile_begin, tile_end, scratch);
    case DType::kQ4_1:
      return run_tiles<DType::kQ4_1>(job, tile_begin, tile_end, scratch);
    case DType::kQ5_0:
      return run_tiles<DType::kQ5_0>(job, tile_begin, tile_end, scratch);
    case DType::kQ5_1:
      return run_tiles<DType::kQ5_1>(job, tile_begin, tile_end, scratch);
    case DType::kQ4_K:
      return run_tiles<DType::kQ4_K>(job, tile_begin, tile_end, scratch);
    case DType::kQ5_K:
      return run_tiles<DType::kQ5_K>(job, tile_begin, tile_end, scratch);
    case DType::kIQ4_NL:
      return run_tiles<DType::kIQ4_NL>(job, tile_begin, tile_end, scratch);
    default:
      return run_tiles<DType::kIQ4_XS>(job, tile_begin, tile_end, scratch);
  }
}

}  // namespace

void fill_linear_amx(LinearKernels& kernels) {
  kernels.fast = run_fast_amx;
}

}  // namespace bantam::kernels

#pragma GCC pop_options
