// Linear layers and the embedding: shape checks, one quantisation of the activations for all parts, and the split of
// the output columns over threads. Each chunk is a run of tile pairs of one part; whoever computes it, the bits are the
// same (kernels/linear_kernels.h). Scratch: one panel per worker, then the quantised activations in both layouts.
#include <algorithm>

#include "base/check.h"
#include "ops/ops.h"

namespace bantam::ops {
namespace {

using kernels::ActBlock;
using kernels::ActTile;
using kernels::LinearJob;

// Below this many elements waking the pool costs more than quantising alone (about 5 elements per ns).
constexpr int64_t kSerialQuantizeElems = 16 * 1024;
// The least multiply-adds worth a chunk of its own: at M = 1 about 5 us of reading 4-bit weights.
constexpr int64_t kMinChunkMacs = 128 * 1024;
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

// Calls run(begin, end) for parts of `units` units of `elems` elements each, on all threads where that pays.
template <class Run>
void split_quantize(Context& ctx, int64_t units, int64_t elems, const Run& run) {
  if (units == 1 || units * elems < kSerialQuantizeElems) return run(0, units);
  const int64_t each = std::max<int64_t>(1, kSerialQuantizeElems / elems);
  ctx.pool->parallel((units + each - 1) / each,
                     [&](int64_t chunk, int) { run(chunk * each, std::min(units, (chunk + 1) * each)); });
}

void quantize(Context& ctx, TensorView x, ActBlock* acts) {
  const int64_t k = x.shape.last(), stride = kernels::act_stride(k);
  split_quantize(ctx, x.shape.rows(), k, [&](int64_t begin, int64_t end) {
    ctx.table->linear.quantize_rows(x.f32(), k, k, begin, end, acts, stride);
  });
}
void quantize_tiles(Context& ctx, TensorView x, ActTile* acts) {
  const int64_t m = x.shape.rows(), k = x.shape.last(), stride = kernels::act_stride(k);
  split_quantize(ctx, token_tiles(m), kernels::kTileTokens * k, [&](int64_t begin, int64_t end) {
    ctx.table->linear.quantize_tiles(x.f32(), k, k, m, begin, end, acts, stride);
  });
}

// Tiles per chunk: even, few enough that threads finish together, many enough to be worth the hand-over.
int64_t chunk_tiles(int64_t tiles, int64_t m, int64_t k, int threads) {
  const int64_t even = (tiles + threads * kChunksPerThread - 1) / (threads * kChunksPerThread);
  const int64_t least = kMinChunkMacs / (m * k * kernels::kTileRows) + 1;
  return (std::max(even, least) + 1) / 2 * 2;
}

void run_parts(Context& ctx, std::span<const Linear* const> parts, TensorView x, const Output& to) {
  const int64_t m = x.shape.rows(), k = x.shape.last(), columns = to.out.shape.last();
  BANTAM_CHECK(x.dtype == DType::kF32 && to.out.dtype == DType::kF32 && to.out.shape.rows() == m);
  int64_t tiles = 0, rows = 0;
  bool by_rows = false, by_tiles = false;
  for (const Linear* part : parts) {
    BANTAM_CHECK(part->weight.valid() && part->weight.cols == k);
    rows += part->weight.rows;
    tiles += kernels::tile_count(part->weight.rows);
    if (uses_fast(ctx, *part)) (uses_tiles(ctx, *part, m) ? by_tiles : by_rows) = true;
  }
  BANTAM_CHECK(rows == columns);
  if (m == 0) return;
  const int threads = ctx.pool->threads();
  BANTAM_CHECK(kernels::linear_scratch_bytes(by_rows || by_tiles ? m : 0, k, threads) <= ctx.scratch_bytes);
  const int64_t stride = kernels::act_stride(k);
  auto* tiled = reinterpret_cast<ActTile*>(ctx.scratch + threads * kernels::kLinearScratchBytes);
  auto* acts = reinterpret_cast<ActBlock*>(tiled + token_tiles(m) * stride);
  if (by_rows) quantize(ctx, x, acts);
  if (by_tiles) quantize_tiles(ctx, x, tiled);

  const int64_t per_chunk = chunk_tiles(tiles, m, k, threads);
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
                  .q = acts,
                  .q_stride = stride,
                  .tiles = tiled,
                  .tiles_stride = stride,
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

}  // namespace

void embed(Context& ctx, const kernels::PackedMatrix& embedding, std::span<const int32_t> tokens, TensorView x) {
  const auto count = static_cast<int64_t>(tokens.size());
  BANTAM_CHECK(x.dtype == DType::kF32 && x.shape.rows() == count && x.shape.last() == embedding.cols);
  for (const int32_t id : tokens) BANTAM_CHECK(id >= 0 && id < embedding.rows);
  ctx.pool->parallel(count,
                     [&](int64_t t, int) { kernels::unpack_row(embedding, tokens[static_cast<size_t>(t)], x.row(t)); });
}

void linear(Context& ctx, std::span<const Linear* const> parts, TensorView x, TensorView out) {
  run_parts(ctx, parts, x, {out, nullptr});
}

void linear_add(Context& ctx, const Linear& w, TensorView x, TensorView residual, TensorView out) {
  BANTAM_CHECK(residual.dtype == DType::kF32 && residual.shape == out.shape);
  const Linear* part = &w;
  run_parts(ctx, std::span<const Linear* const>(&part, 1), x, {out, &residual});
}

}  // namespace bantam::ops
