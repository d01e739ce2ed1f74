// The MLP: y = residual + Wdown (silu(Wgate h) * Wup h), h = norm(x). A chunk is a run of tiles of gate and the same of
// up; its products stay in the core's cache, where the activations of the down projection are made of them. So neither
// [T, 2F] nor, quantised, [T, F] goes through memory, and nobody keeps room for the former (40 MB at 512 tokens of 4B).
#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "ops/linear_parts.h"
#include "ops/mlp_plan.h"
#include "ops/ops.h"

namespace bantam::ops {
namespace {

using kernels::kTileRows;
using kernels::kTileTokens;

struct Call {
  Context& ctx;
  const Mlp& w;
  TensorView h;        // [T, D]
  TensorView gate_up;  // [T, 2F] or without memory
  TensorView act;      // [T, F]
  Activations in;      // of h
  Activations middle;  // of act
  MlpPlan plan;
  std::byte* panels;  // [threads]

  int64_t tokens() const { return h.shape.rows(); }
  int64_t width() const { return w.gate.weight.rows; }
};

// Tiles [tile, tile + tiles) of gate and up, then their share of the down projection's activations.
void run_group(const Call& c, int64_t tile, int64_t tiles, int worker) {
  const int64_t m = c.tokens(), f = c.width(), column = tile * kTileRows;
  const int64_t columns = std::min(tiles * kTileRows, f - column);
  auto* const panel = reinterpret_cast<float*>(c.panels + worker * c.plan.panel_bytes);
  const bool kept = c.gate_up.valid();
  const int64_t stride = kept ? 2 * f : 2 * c.plan.group_tiles * kTileRows;
  float* const gate = kept ? c.gate_up.f32() + column : panel;
  float* const up = kept ? gate + f : panel + c.plan.group_tiles * kTileRows;
  for (const auto& [part, out] : {std::pair{&c.w.gate, gate}, {&c.w.up, up}}) {
    const Product product{.part = part,
                          .x = c.h,
                          .acts = &c.in,
                          .out = out,
                          .out_stride = stride,
                          .out_tile = tile,
                          .reread = true,
                          .residual = nullptr};
    multiply_tiles(c.ctx, product, tile, tile + tiles, worker);
  }
  const bool quantized = c.middle.in_tiles || c.middle.in_blocks;
  float* const made = panel + c.plan.panel_floats;
  for (int64_t t = 0; t < m; t += kTileTokens) {
    const int64_t rows = std::min(kTileTokens, m - t), act_stride = quantized ? columns : f;
    float* const act = quantized ? made : c.act.row(t) + column;
    for (int64_t i = 0; i < rows; ++i) {
      c.ctx.table->rows.swiglu(gate + (t + i) * stride, up + (t + i) * stride, columns, act + i * act_stride);
    }
    if (quantized) quantize(c.ctx, c.middle, act, act_stride, {t, t + rows, column, column + columns});
  }
}

}  // namespace

void mlp(Context& ctx, TensorView x, const float* norm, float eps, TensorView h, const Mlp& w, TensorView gate_up,
         TensorView act, TensorView residual, TensorView out) {
  const int64_t m = x.shape.rows(), d = x.shape.last(), f = w.gate.weight.rows;
  BANTAM_CHECK(x.dtype == DType::kF32 && x.shape == h.shape && norm != nullptr);
  BANTAM_CHECK(w.gate.weight.valid() && w.up.weight.valid() && w.down.weight.valid());
  BANTAM_CHECK(w.gate.weight.cols == d && w.up.weight.cols == d && w.up.weight.rows == f && w.down.weight.cols == f);
  BANTAM_CHECK(!gate_up.valid() || gate_up.shape == (Shape{m, 2 * f}));
  BANTAM_CHECK(act.valid() && act.shape == (Shape{m, f}) && out.shape == (Shape{m, w.down.weight.rows}));
  BANTAM_CHECK(residual.shape == out.shape);
  if (m == 0) return;
  const std::array<const Linear*, 2> first{&w.gate, &w.up};
  const std::array<const Linear*, 1> second{&w.down};
  const int threads = ctx.pool->threads();
  const int64_t tiles = kernels::tile_count(f);
  int64_t bytes = 0;
  for (const Linear* part : first) bytes += kernels::packed_bytes(part->weight.dtype, f, d);
  const int64_t per_chunk = chunk_tiles(tiles, m, bytes, threads);
  const MlpPlan plan = plan_mlp(m, per_chunk);
  std::byte* const panels = ctx.scratch + threads * kernels::kLinearScratchBytes;
  std::byte* const in = panels + threads * plan.panel_bytes;
  const Call call{ctx,
                  w,
                  h,
                  gate_up,
                  act,
                  place_activations(ctx, first, m, d, in),
                  place_activations(ctx, second, m, f, in + activation_bytes(m, d)),
                  plan,
                  panels};
  activate(ctx, h, call.in, kNorm, [&](const Piece& at) {
    ctx.table->rows.rms_norm(x.row(at.row), norm, eps, at.rows_end - at.row, d, h.row(at.row));
  });
  ctx.pool->parallel((tiles + per_chunk - 1) / per_chunk, [&](int64_t chunk, int worker) {
    const int64_t end = std::min((chunk + 1) * per_chunk, tiles);
    for (int64_t tile = chunk * per_chunk; tile < end; tile += plan.group_tiles) {
      run_group(call, tile, std::min(plan.group_tiles, end - tile), worker);
    }
  });
  multiply(ctx, second, act, call.middle, {out, &residual});
}

}  // namespace bantam::ops
