// Linear kernels for AMX-INT8: `fast` products of more than 8 rows; everything else of the table is AVX-512's.
//
// One TDPBSSD multiplies 16 tokens x 32 k by 32 k x 16 rows of a tile: the codes of one block, unpacked to 8 lines of
// 16 rows x 4 k, are the B operand, ActTile::q the A operand, and C is the exact i32 sums of one block, started from
// kMagic's bits. Sums leave through memory (there is no other way out of a tile register) and are scaled and added by
// AVX-512 in the order of linear_kernels.h. Types with scales per 16 take two products of 16 k a block: twice the
// cycles below, against 112 of AVX-512; those that also have additive terms (q2_k) are left to AVX-512.
//
// Cycles per 16 tokens x 16 rows x 32 k, measured on a Xeon of 2024 (AVX-512 VNNI: 176 vector operations, 88 cycles):
//   tile unit   16 (one A row a cycle, whatever K is), latency 52
//   port 0      32 = 16 x 2 FMA: while tile instructions are in flight, port 5 takes no multiplications
//   store port  16, + 4 for the running totals
//   load ports  28: C 8, A 4 (shared by two tiles), B 4, sums 8, d 1, totals 2, scales 1
// A loop of nothing else, in L1 and in assembly, takes 12 ns (about 40 cycles) in whatever order its parts stand; with
// activations from L2, unpacking and outputs the kernel takes 18 to 20 (docs/log.md).
// What makes the units overlap: four C registers, each stored two units after its product was issued (in the order
// store, load, multiply), sums that are scaled one run of units after they were stored, FMAs between tile instructions,
// which would else wait behind 64 FMAs in the scheduler, and everything at fixed offsets from few pointers.
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

// clang-format off
#include "kernels/cpu/linear_amx_pipeline.inl.h"
// clang-format on

// Totals of `tiles` tiles and many tokens to `out`, past the caches where that can be: rows lie far apart, and reading
// their lines first took 10 % of prefill's time.
void store_many(const LinearJob& job, int64_t tile, int64_t tiles, int64_t first, int64_t tokens, const float* totals) {
  const bool past_caches = tokens >= kStreamedTokens && !job.reread && job.residual == nullptr &&
                           job.out_stride % 16 == 0 && reinterpret_cast<uintptr_t>(job.out) % 64 == 0 &&
                           (tile + tiles) * kTileRows <= job.weight.rows;
  for (int64_t m = 0; m < tokens; ++m, totals += kTotalsStride) {
    float* out = job.out + (first + m) * job.out_stride + (tile - job.out_tile) * kTileRows;
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

// What to fetch while a panel of a pair is multiplied in `steps`: `count` blocks from `block` on of the same pair, or,
// past its end, the first of the pair at tile `after`.
template <DType T>
Fetch fetch_of(const PackedMatrix& w, int64_t tile, int64_t after, int64_t block, int64_t count, int64_t steps) {
  constexpr PackedFormat f = packed_format(T);
  const int64_t bytes = tile_bytes(T, w.cols);
  if (block >= w.cols / kBlock) tile = after, block = 0;
  const auto* data = reinterpret_cast<const uint8_t*>(w.data) + tile * bytes;
  const uint8_t* from = data + block * f.group_bytes() / f.group_blocks();
  const int64_t lines = count * f.group_bytes() / f.group_blocks() / 64 + 1;
  return {.from = {from, from + bytes}, .lines = lines, .a_step = (lines + steps - 1) / steps};
}

// Tiles [tile, tile + tiles), up to kTurnPairs pairs (a last single tile is taken twice), for tokens [first, first +
// tokens).
template <DType T>
void run_pairs(const LinearJob& job, int64_t tile, int64_t tiles, int64_t first, int64_t tokens, Scratch<T>* s) {
  const int64_t blocks = job.weight.cols / kBlock, pairs = (tiles + 1) / 2;
  const int64_t token_tiles = (tokens + kTileTokens - 1) / kTileTokens;
  const bool many = token_tiles > kFewTokenTiles;
  const int64_t panel_blocks = many ? kPanelBlocks : kRunBlocks<T>, steps = panel_blocks * kUnits<T> * token_tiles;
  __builtin_memset(s->totals, 0, static_cast<size_t>(pairs * token_tiles * kTileTokens) * sizeof s->totals[0]);
  Run<T> run = {.low = &s->sums[0], .high = &s->sums[1], .next = &s->sums[2]};
  int slot = 0;
  for (int64_t b = 0; b < blocks; b += panel_blocks) {
    const int64_t count = blocks - b < panel_blocks ? blocks - b : panel_blocks;
    for (int64_t p = 0; p < pairs; ++p, slot ^= 1) {
      const int64_t at = tile + kPairTiles * p, here = tiles - kPairTiles * p < kPairTiles ? 1 : kPairTiles;
      unpack_pair<T>(job.weight, at, here, b, count, s->codes, s->scales[slot]);
      multiply_panel<T>({.codes = s->codes,
                         .scales = s->scales[slot],
                         .units = count * kUnits<T>,
                         .acts = job.tiles + first / kTileTokens * job.tiles_stride + b,
                         .acts_stride = job.tiles_stride,
                         .totals = s->totals[p * token_tiles * kTileTokens],
                         .token_tiles = token_tiles},
                        many, fetch_of<T>(job.weight, at, at + tiles, b + panel_blocks, panel_blocks, steps), run);
    }
  }
  finish(run);
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

template <DType T>
void run_tiles(const LinearJob& job, int64_t tile_begin, int64_t tile_end, std::byte* scratch) {
  static_assert(sizeof(Scratch<T>) <= kLinearScratchBytes);
  static constexpr TileConfig config = tile_config(kUnits<T>);
  _tile_loadconfig(&config);
  const int64_t most = pass_tokens(job.weight.cols), passes = (job.m + most - 1) / most;
  const int64_t pass = (job.m + passes * kTileTokens - 1) / (passes * kTileTokens) * kTileTokens;
  const int64_t step = kPairTiles * (pass <= kFewTokenTiles * kTileTokens ? kTurnPairs : 1);
  for (int64_t first = 0; first < job.m; first += pass) {
    const int64_t tokens = job.m - first < pass ? job.m - first : pass;
    for (int64_t tile = tile_begin; tile < tile_end; tile += step) {
      const int64_t tiles = tile_end - tile < step ? tile_end - tile : step;
      run_pairs<T>(job, tile, tiles, first, tokens, reinterpret_cast<Scratch<T>*>(scratch));
    }
  }
  _tile_release();  // an idle thread's tiles need no saving
}

// Whether tiles beat vectors. q3_k's vectors are the fastest of the types with scales per 16: even at 12 rows.
bool tiled(DType dtype, int64_t m) {
  const PackedFormat f = packed_format(dtype);
  return m > (dtype == DType::kQ3_K ? kHalfTokens + kQuarterTokens : kHalfTokens) && (f.halves() == 1 || !f.has_add());
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
    case DType::kQ3_K:
      return run_tiles<DType::kQ3_K>(job, tile_begin, tile_end, scratch);
    case DType::kQ6_K:
      return run_tiles<DType::kQ6_K>(job, tile_begin, tile_end, scratch);
    case DType::kBQ4:
      return run_tiles<DType::kBQ4>(job, tile_begin, tile_end, scratch);
    case DType::kIQ4_NL:
      return run_tiles<DType::kIQ4_NL>(job, tile_begin, tile_end, scratch);
    default:
      return run_tiles<DType::kIQ4_XS>(job, tile_begin, tile_end, scratch);
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
