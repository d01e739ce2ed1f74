// Linear layers and the embedding: shape checks, one quantisation of the activations for all parts, and the split of
// the output columns over threads. Each chunk is a run of tile pairs of one part; whoever computes it, the bits are the
// same (kernels/linear_kernels.h). Where the activations come from a norm or from SwiGLU, they are made and quantised
// in one pass, while a piece of them is in the cache. Scratch: one panel per worker, then the quantised activations in
// both layouts.
#include <algorithm>

#include "base/check.h"
#include "ops/ops.h"

namespace bantam::ops {
namespace {

using kernels::ActBlock;
using kernels::ActTile;
using kernels::LinearJob;

// Elements quantised in about the time that waking the pool costs (5 per ns), and the least of one chunk.
constexpr int64_t kSerialElems = 16 * 1024, kChunkElems = 4096;
// The least weights, in bytes times tokens, worth a chunk of its own: at M = 1 about 5 us of reading.
constexpr int64_t kMinChunkBytes = 72 * 1024;
constexpr int64_t kChunksPerThread = 8;

struct Output {
  TensorView out;              // [T, sum N_p]
  const TensorView* residual;  // [T, N] or null
};

bool uses_fast(const Context& ctx, const Linear& part) {
  return ctx.numerics == Numerics::kFast && kernels::has_fast(part.weight.dtype);
}
bool uses_tiles(const Context& ctx, const Linear& part, int64_t m) {
  return ctx.table->linear.tiled != nullptr && ctx.table->linear.tiled(part.weight.dtype, m);
}
int64_t token_tiles(int64_t m) {
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

// The activations of one layer, in the layouts its parts read.
struct Activations {
  ActBlock* blocks;
  ActTile* tiles;
  int64_t stride;
};

// Makes x [M, K] by make(piece) and quantises it. x may be there already: then make does nothing.
template <class Make>
Activations activate(Context& ctx, std::span<const Linear* const> parts, TensorView x, Making making,
                     const Make& make) {
  const int64_t m = x.shape.rows(), k = x.shape.last(), stride = kernels::act_stride(k);
  bool by_blocks = false, by_tiles = false;
  for (const Linear* part : parts) {
    if (uses_fast(ctx, *part)) (uses_tiles(ctx, *part, m) ? by_tiles : by_blocks) = true;
  }
  const int threads = ctx.pool->threads();
  BANTAM_CHECK(kernels::linear_scratch_bytes(by_blocks || by_tiles ? m : 0, k, threads) <= ctx.scratch_bytes);
  auto* tiles = reinterpret_cast<ActTile*>(ctx.scratch + threads * kernels::kLinearScratchBytes);
  auto* blocks = reinterpret_cast<ActBlock*>(tiles + token_tiles(m) * stride);
  const auto quantize = [&](const Piece& at) {
    const float* from = x.f32() + at.column;
    const int64_t columns = at.columns_end - at.column, block = at.column / kernels::kBlock;
    const kernels::LinearKernels& kernel = ctx.table->linear;
    if (by_blocks) kernel.quantize_rows(from, k, columns, at.row, at.rows_end, blocks + block, stride);
    if (!by_tiles) return;
    kernel.quantize_tiles(from, k, columns, m, at.row / kernels::kTileTokens, token_tiles(at.rows_end), tiles + block,
                          stride);
  };
  const int64_t unit = by_tiles ? kernels::kTileTokens : 1;
  if (!making.by_columns && token_tiles(m) < 2 * threads && by_tiles) {
    // Whole tiles are too few for the threads: rows first, then pieces of tiles.
    for_pieces(ctx, m, k, 1, making, make);
    for_pieces(ctx, m, k, unit, {}, quantize);
  } else if (by_blocks || by_tiles || making.cost != 0) {
    for_pieces(ctx, m, k, unit, making, [&](const Piece& at) {
      make(at);
      quantize(at);
    });
  }
  return {blocks, tiles, stride};
}

// Tiles per chunk, for parts of `bytes` together: few enough that threads finish together, many enough to be worth the
// hand-over, an even number, and as many in the last chunk as in the others.
int64_t chunk_tiles(int64_t tiles, int64_t m, int64_t bytes, int threads) {
  const int64_t even = (tiles + threads * kChunksPerThread - 1) / (threads * kChunksPerThread);
  const int64_t least = kMinChunkBytes * tiles / (m * bytes) + 1;
  const int64_t most = (std::max(even, least) + 1) / 2 * 2, chunks = (tiles + most - 1) / most;
  return ((tiles + chunks - 1) / chunks + 1) / 2 * 2;
}

void multiply(Context& ctx, std::span<const Linear* const> parts, TensorView x, const Activations& acts,
              const Output& to) {
  const int64_t m = x.shape.rows(), k = x.shape.last(), columns = to.out.shape.last();
  int64_t tiles = 0, bytes = 0;
  for (const Linear* part : parts) {
    tiles += kernels::tile_count(part->weight.rows);
    bytes += kernels::packed_bytes(part->weight.dtype, part->weight.rows, k);
  }
  const int64_t per_chunk = chunk_tiles(tiles, m, bytes, ctx.pool->threads());
  const auto chunks_of = [per_chunk](const Linear& part) {
    return (kernels::tile_count(part.weight.rows) + per_chunk - 1) / per_chunk;
  };
  int64_t chunks = 0;
  for (const Linear* part : parts) chunks += chunks_of(*part);
  ctx.pool->parallel(chunks, [&](int64_t chunk, int worker) {
    int64_t column = 0;
    size_t p = 0;
    for (; chunk >= chunks_of(*parts[p]); ++p) {
      chunk -= chunks_of(*parts[p]);
      column += parts[p]->weight.rows;
    }
    const Linear& part = *parts[p];
    LinearJob job{.weight = part.weight,
                  .m = m,
                  .x = x.f32(),
                  .x_stride = k,
                  .q = acts.blocks,
                  .q_stride = acts.stride,
                  .tiles = acts.tiles,
                  .tiles_stride = acts.stride,
                  .out = to.out.f32() + column,
                  .out_stride = columns,
                  .bias = part.bias};
    if (to.residual != nullptr) {
      job.residual = to.residual->f32();
      job.residual_stride = to.residual->shape.last();
    }
    const int64_t begin = chunk * per_chunk, end = std::min(begin + per_chunk, kernels::tile_count(part.weight.rows));
    const auto run = uses_fast(ctx, part) ? ctx.table->linear.fast : ctx.table->linear.exact;
    run(job, begin, end, ctx.scratch + worker * kernels::kLinearScratchBytes);
  });
}

// to.out = the parts' products with x, which make(piece) makes.
template <class Make>
void run_parts(Context& ctx, std::span<const Linear* const> parts, TensorView x, const Output& to, Making making,
               const Make& make) {
  const int64_t m = x.shape.rows();
  BANTAM_CHECK(x.dtype == DType::kF32 && to.out.dtype == DType::kF32 && to.out.shape.rows() == m);
  BANTAM_CHECK(to.residual == nullptr || (to.residual->dtype == DType::kF32 && to.residual->shape == to.out.shape));
  int64_t rows = 0;
  for (const Linear* part : parts) {
    BANTAM_CHECK(part->weight.valid() && part->weight.cols == x.shape.last());
    rows += part->weight.rows;
  }
  BANTAM_CHECK(rows == to.out.shape.last());
  if (m == 0) return;
  multiply(ctx, parts, x, activate(ctx, parts, x, making, make), to);
}

// Costs of making an element, in quantised elements: two passes over a row, and an exponential.
constexpr Making kMadeAlready{}, kNorm{.by_columns = false, .cost = 1}, kSwiglu{.by_columns = true, .cost = 4};

}  // namespace

void embed(Context& ctx, const kernels::PackedMatrix& embedding, std::span<const int32_t> tokens, TensorView x) {
  const auto count = static_cast<int64_t>(tokens.size());
  BANTAM_CHECK(x.dtype == DType::kF32 && x.shape.rows() == count && x.shape.last() == embedding.cols);
  for (const int32_t id : tokens) BANTAM_CHECK(id >= 0 && id < embedding.rows);
  ctx.pool->parallel(count,
                     [&](int64_t t, int) { kernels::unpack_row(embedding, tokens[static_cast<size_t>(t)], x.row(t)); });
}

void linear(Context& ctx, std::span<const Linear* const> parts, TensorView x, TensorView out) {
  run_parts(ctx, parts, x, {out, nullptr}, kMadeAlready, [](const Piece&) {});
}

void norm_linear(Context& ctx, TensorView x, const float* norm, float eps, TensorView h,
                 std::span<const Linear* const> parts, TensorView out) {
  BANTAM_CHECK(x.dtype == DType::kF32 && x.shape == h.shape && norm != nullptr);
  run_parts(ctx, parts, h, {out, nullptr}, kNorm, [&](const Piece& at) {
    ctx.table->rows.rms_norm(x.row(at.row), norm, eps, at.rows_end - at.row, x.shape.last(), h.row(at.row));
  });
}

void linear_add(Context& ctx, const Linear& w, TensorView x, TensorView residual, TensorView out) {
  const Linear* part = &w;
  run_parts(ctx, {&part, 1}, x, {out, &residual}, kMadeAlready, [](const Piece&) {});
}

void swiglu_linear_add(Context& ctx, TensorView gate_up, TensorView act, const Linear& w, TensorView residual,
                       TensorView out) {
  BANTAM_CHECK(gate_up.dtype == DType::kF32 && gate_up.shape.rows() == act.shape.rows());
  BANTAM_CHECK(gate_up.shape.last() == 2 * act.shape.last());
  const int64_t f = act.shape.last();
  const Linear* part = &w;
  run_parts(ctx, {&part, 1}, act, {out, &residual}, kSwiglu, [&](const Piece& at) {
    for (int64_t t = at.row; t < at.rows_end; ++t) {
      const float* gate = gate_up.row(t) + at.column;
      ctx.table->rows.swiglu(gate, gate + f, at.columns_end - at.column, act.row(t) + at.column);
    }
  });
}

}  // namespace bantam::ops
