// The inside of linear layers, for the ops that are made of them: activations made and quantised in one pass for all
// parts of a layer, and products cut into runs of tile pairs over the threads. Scratch: per worker a panel of weights,
// then activations in both layouts.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "kernels/linear_kernels.h"
#include "ops/ops.h"

namespace bantam::ops {

// Elements quantised in about the time that waking the pool costs (5 per ns), and the least of one chunk.
inline constexpr int64_t kSerialElems = 16 * 1024, kChunkElems = 4096;

struct Output {
  TensorView out;              // [T, sum N_p]
  const TensorView* residual;  // [T, N] or null
};

bool uses_fast(const Context& ctx, const Linear& part);

inline int64_t token_tiles(int64_t m) {
  return (m + kernels::kTileTokens - 1) / kernels::kTileTokens;
}

// Some rows and columns of the activations.
struct Piece {
  int64_t row, rows_end, column, columns_end;
};

// How activations are made just before they are quantised.
struct Making {
  bool by_columns = true;  // a piece needs no more than its own columns
  int64_t cost = 0;        // of an element, in quantised elements
};
// Made already; by two passes over a row.
inline constexpr Making kMadeAlready{}, kNorm{.by_columns = false, .cost = 1};

// Calls make(piece) for pieces that cover [m, k], on all threads where that pays: at prefill whole units of `unit`
// rows, with few rows columns too. Pieces begin at multiples of kBlock.
template <class Make>
void for_pieces(Context& ctx, int64_t m, int64_t k, int64_t unit, Making making, const Make& make) {
  const int64_t cost = 1 + making.cost, threads = ctx.pool->threads(), units = (m + unit - 1) / unit;
  const int64_t each = std::max<int64_t>(1, kSerialElems / (unit * k * cost)), chunks = (units + each - 1) / each;
  int64_t slices = 1;
  if (making.by_columns && chunks < 2 * threads && m * k * cost >= kSerialElems) {
    const int64_t elems = std::min(m, unit) * k * cost;
    slices = std::clamp<int64_t>((2 * threads + chunks - 1) / chunks, 1, std::max<int64_t>(1, elems / kChunkElems));
  }
  const int64_t width = ((k + slices - 1) / slices + kernels::kBlock - 1) / kernels::kBlock * kernels::kBlock;
  slices = (k + width - 1) / width;
  ctx.pool->parallel(chunks * slices, [&](int64_t chunk, int) {
    const int64_t row = chunk / slices * each * unit, column = chunk % slices * width;
    make(Piece{row, std::min(m, row + each * unit), column, std::min(k, column + width)});
  });
}

// The quantised activations of one layer, in the layouts its parts read.
struct Activations {
  kernels::ActTile* tiles;    // [ceil(M / 16), stride]
  kernels::ActBlock* blocks;  // [M, stride]
  int64_t stride;
  bool in_tiles, in_blocks;  // which of them are read
};

// Bytes of the activations of m rows of k, both layouts.
inline constexpr int64_t activation_bytes(int64_t m, int64_t k) {
  return kernels::linear_scratch_bytes(m, k, 0);
}

// Their places from `memory` on.
Activations place_activations(const Context& ctx, std::span<const Linear* const> parts, int64_t m, int64_t k,
                              std::byte* memory);

// Quantises a piece, whose first element is at `x`, rows x_stride apart. Rows begin at a multiple of 16 where they end
// up in tiles.
void quantize(const Context& ctx, const Activations& to, const float* x, int64_t x_stride, const Piece& at);

// Makes x [M, K] by make(piece) and quantises it to `to`. x may be there already: then make does nothing.
template <class Make>
void activate(Context& ctx, TensorView x, const Activations& to, Making making, const Make& make) {
  const int64_t m = x.shape.rows(), k = x.shape.last(), threads = ctx.pool->threads();
  const bool quantized = to.in_tiles || to.in_blocks;
  const auto quantize_piece = [&](const Piece& at) { quantize(ctx, to, x.row(at.row) + at.column, k, at); };
  const int64_t unit = to.in_tiles ? kernels::kTileTokens : 1;
  if (!making.by_columns && token_tiles(m) < 2 * threads && to.in_tiles) {
    // Whole tiles are too few for the threads: rows first, then pieces of tiles.
    for_pieces(ctx, m, k, 1, making, make);
    for_pieces(ctx, m, k, unit, {}, quantize_piece);
  } else if (quantized || making.cost != 0) {
    for_pieces(ctx, m, k, unit, making, [&](const Piece& at) {
      make(at);
      if (quantized) quantize_piece(at);
    });
  }
}

// Tiles per chunk, for parts of `bytes` together: few enough that threads finish together, many enough to be worth the
// hand-over, an even number, and as many in the last chunk as in the others.
int64_t chunk_tiles(int64_t tiles, int64_t m, int64_t bytes, int threads);

// A part's product; `out` to `reread` as in LinearJob.
struct Product {
  const Linear* part;
  TensorView x;  // [M, K]: read by exact numerics and float weights
  const Activations* acts;
  float* out;
  int64_t out_stride;
  int64_t out_tile = 0;
  bool reread = false;
  const TensorView* residual = nullptr;
};
// Tiles [begin, end) of a part's product, on the thread of `worker`.
void multiply_tiles(const Context& ctx, const Product& product, int64_t begin, int64_t end, int worker);

// to.out = the parts' products with x, side by side, on all threads.
void multiply(Context& ctx, std::span<const Linear* const> parts, TensorView x, const Activations& acts,
              const Output& to);

}  // namespace bantam::ops
