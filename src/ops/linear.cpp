// Linear layers and the embedding: shape checks, one quantisation of the activations for all parts, and the split of
// the output columns over threads. Each chunk is a run of tile pairs of one part; whoever computes it, the bits are the
// same (kernels/linear_kernels.h). Where the activations come from a norm, they are made and quantised in one pass,
// while a piece of them is in the cache.
#include <algorithm>

#include "base/check.h"
#include "ops/linear_parts.h"
#include "ops/ops.h"

namespace bantam::ops {
namespace {

using kernels::LinearJob;

// The least weights, in bytes times tokens, worth a chunk of its own: at M = 1 about 5 us of reading.
constexpr int64_t kMinChunkBytes = 72 * 1024;
constexpr int64_t kChunksPerThread = 8;

bool uses_tiles(const Context& ctx, const Linear& part, int64_t m) {
  return ctx.table->linear.tiled != nullptr && ctx.table->linear.tiled(part.weight.dtype, m);
}

// to.out = the parts' products with x, which make(piece) makes.
template <class Make>
void run_parts(Context& ctx, std::span<const Linear* const> parts, TensorView x, const Output& to, Making making,
               const Make& make) {
  const int64_t m = x.shape.rows(), k = x.shape.last();
  BANTAM_CHECK(x.dtype == DType::kF32 && to.out.dtype == DType::kF32 && to.out.shape.rows() == m);
  BANTAM_CHECK(to.residual == nullptr || (to.residual->dtype == DType::kF32 && to.residual->shape == to.out.shape));
  int64_t rows = 0;
  for (const Linear* part : parts) {
    BANTAM_CHECK(part->weight.valid() && part->weight.cols == k);
    rows += part->weight.rows;
  }
  BANTAM_CHECK(rows == to.out.shape.last());
  if (m == 0) return;
  std::byte* const memory = ctx.scratch + ctx.pool->threads() * kernels::kLinearScratchBytes;
  const Activations acts = place_activations(ctx, parts, m, k, memory);
  activate(ctx, x, acts, making, make);
  multiply(ctx, parts, x, acts, to);
}

}  // namespace

bool uses_fast(const Context& ctx, const Linear& part) {
  return ctx.numerics == Numerics::kFast && kernels::has_fast(part.weight.dtype);
}

Activations place_activations(const Context& ctx, std::span<const Linear* const> parts, int64_t m, int64_t k,
                              std::byte* memory) {
  const int64_t stride = kernels::act_stride(k);
  auto* const tiles = reinterpret_cast<kernels::ActTile*>(memory);
  auto* const blocks = reinterpret_cast<kernels::ActBlock*>(tiles + token_tiles(m) * stride);
  Activations acts{tiles, blocks, stride, false, false};
  for (const Linear* part : parts) {
    if (uses_fast(ctx, *part)) (uses_tiles(ctx, *part, m) ? acts.in_tiles : acts.in_blocks) = true;
  }
  const int64_t used = acts.in_tiles || acts.in_blocks ? activation_bytes(m, k) : 0;
  BANTAM_CHECK(memory + used <= ctx.scratch + ctx.scratch_bytes);
  return acts;
}

void quantize(const Context& ctx, const Activations& to, const float* x, int64_t x_stride, const Piece& at) {
  const int64_t columns = at.columns_end - at.column, rows = at.rows_end - at.row, block = at.column / kernels::kBlock;
  const kernels::LinearKernels& kernel = ctx.table->linear;
  if (to.in_blocks) {
    kernel.quantize_rows(x, x_stride, columns, 0, rows, to.blocks + at.row * to.stride + block, to.stride);
  }
  if (!to.in_tiles) return;
  kernels::ActTile* const tiles = to.tiles + at.row / kernels::kTileTokens * to.stride + block;
  kernel.quantize_tiles(x, x_stride, columns, rows, 0, token_tiles(rows), tiles, to.stride);
}

int64_t chunk_tiles(int64_t tiles, int64_t m, int64_t bytes, int threads) {
  const int64_t even = (tiles + threads * kChunksPerThread - 1) / (threads * kChunksPerThread);
  const int64_t least = kMinChunkBytes * tiles / (m * bytes) + 1;
  const int64_t most = (std::max(even, least) + 1) / 2 * 2, chunks = (tiles + most - 1) / most;
  return ((tiles + chunks - 1) / chunks + 1) / 2 * 2;
}

void multiply_tiles(const Context& ctx, const Product& product, int64_t begin, int64_t end, int worker) {
  const Linear& part = *product.part;
  LinearJob job{.weight = part.weight,
                .m = product.x.shape.rows(),
                .x = product.x.f32(),
                .x_stride = product.x.shape.last(),
                .q = product.acts->blocks,
                .q_stride = product.acts->stride,
                .tiles = product.acts->tiles,
                .tiles_stride = product.acts->stride,
                .out = product.out,
                .out_stride = product.out_stride,
                .out_tile = product.out_tile,
                .reread = product.reread,
                .bias = part.bias};
  if (product.residual != nullptr) {
    job.residual = product.residual->f32();
    job.residual_stride = product.residual->shape.last();
  }
  const auto run = uses_fast(ctx, part) ? ctx.table->linear.fast : ctx.table->linear.exact;
  run(job, begin, end, ctx.scratch + worker * kernels::kLinearScratchBytes);
}

void multiply(Context& ctx, std::span<const Linear* const> parts, TensorView x, const Activations& acts,
              const Output& to) {
  const int64_t m = x.shape.rows(), k = x.shape.last();
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
    const Product product{.part = parts[p],
                          .x = x,
                          .acts = &acts,
                          .out = to.out.f32() + column,
                          .out_stride = to.out.shape.last(),
                          .residual = to.residual};
    const int64_t begin = chunk * per_chunk;
    multiply_tiles(ctx, product, begin, std::min(begin + per_chunk, kernels::tile_count(parts[p]->weight.rows)),
                   worker);
  });
}

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

}  // namespace bantam::ops
