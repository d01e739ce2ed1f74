// One block of memory cut into the activations; the list of buffers is written once and serves sizing and carving.
#include "model/workspace.h"

#include <algorithm>

namespace bantam::model {
namespace {

constexpr int64_t kAlignment = 64;

int64_t aligned(int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// Gives every buffer its place from `base` on (null: only sizes) and returns the bytes used.
int64_t carve(const Config& c, const StepLimits& limits, int threads, std::byte* base, Workspace* ws) {
  int64_t used = 0;
  const auto take = [&](int64_t bytes) {
    std::byte* const place = base == nullptr ? nullptr : base + used;
    used += aligned(bytes);
    return place;
  };
  const auto matrix = [&](int64_t rows, int64_t cols) {
    return TensorView{take(rows * cols * 4), DType::kF32, Shape{rows, cols}};
  };
  const int64_t tok = limits.max_tok, rows = limits.max_logit_rows;
  ws->x = matrix(tok, c.hidden_size);
  ws->h = matrix(tok, c.hidden_size);
  ws->qkv = matrix(tok, c.qkv_size());
  ws->cos_sin = matrix(tok, c.head_dim);
  ws->attn = matrix(tok, c.q_size());
  ws->gate_up = {nullptr, DType::kF32, Shape{tok, 2 * c.intermediate_size}};
  ws->act = matrix(tok, c.intermediate_size);
  ws->x_rows = matrix(rows, c.hidden_size);
  ws->logits = matrix(rows, c.vocab_size);
  const int64_t max_k = std::max({c.hidden_size, c.q_size(), c.intermediate_size});
  const int64_t max_n = std::max({c.hidden_size, c.qkv_size(), 2 * c.intermediate_size, c.vocab_size});
  const ops::HeadShape heads{c.num_attention_heads, c.num_key_value_heads, c.head_dim};
  ws->ctx.scratch_bytes = ops::scratch_bytes(std::max(tok, rows), max_k, max_n, heads, limits.max_pos, threads);
  ws->ctx.scratch = take(ws->ctx.scratch_bytes);
  return used;
}

}  // namespace

int64_t workspace_bytes(const Config& config, const StepLimits& limits, int threads) {
  Workspace sizes;
  return carve(config, limits, threads, nullptr, &sizes);
}

Result<Workspace> Workspace::create(const Config& config, const StepLimits& limits, const kernels::Table& table,
                                    ThreadPool& pool, ops::Numerics numerics) {
  Workspace ws;
  ws.limits = limits;
  BANTAM_TRY_ASSIGN(ws.storage, Storage::allocate(workspace_bytes(config, limits, pool.threads())));
  carve(config, limits, pool.threads(), ws.storage.data(), &ws);
  ws.ctx.table = &table;
  ws.ctx.pool = &pool;
  ws.ctx.numerics = numerics;
  return ws;
}

}  // namespace bantam::model
