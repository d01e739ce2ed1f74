// Attention: cuts the batch into blocks of query rows and runs of pages, and merges the runs in order. A unit is
// (segment, block of tokens, KV head). With plenty of units each walks its runs by itself; with few (decode) every
// (unit, run) is a chunk of its own, its state goes to scratch and a second pass merges. Both make the same sums in
// the same order, so the choice, the block size and the threads cannot change a bit.
#include <algorithm>
#include <cstddef>

#include "ops/attention_plan.h"
#include "ops/attention_shapes.h"

namespace bantam::ops {
namespace {

using kernels::AttentionRun;
using kernels::AttentionState;
using kernels::kPageTok;
using kernels::kRunPages;
using kernels::kRunTok;
using kernels::Segment;

struct Call {
  const Context& ctx;
  TensorView qkv, out;
  HeadShape heads;
  const kernels::KvView& kv;
  int64_t layer;
  std::span<const Segment> segments;
  float scale;
  AttentionPlan plan;
  // Scratch, carved in this order.
  int32_t* first_unit;  // [segments + 1]: units of segments before this one, counted per KV head
  float* workers;       // [threads, worker_floats]
  float* partial;       // [units, most_runs, state floats]: split mode only

  int64_t group() const { return heads.q_heads / heads.kv_heads; }
};

struct Unit {
  const Segment* segment;
  int64_t head;   // KV head
  int64_t token;  // first query, relative to the segment
  int64_t queries;
  int64_t first_pos() const { return segment->start_pos + token; }
  int64_t end_pos() const { return first_pos() + queries; }
  int64_t runs() const { return (end_pos() + kRunTok - 1) / kRunTok; }
};

AttentionState state_at(float* memory, int64_t rows, int64_t head_dim) {
  return {memory + rows * head_dim, memory + rows * head_dim + rows, memory};
}

// Unit i: KV heads innermost, and late blocks first because they see the most.
Unit find_unit(const Call& c, int64_t i) {
  const int64_t blocks = c.first_unit[c.segments.size()];
  const int64_t block = blocks - 1 - i / c.heads.kv_heads;
  const int32_t* begin = c.first_unit;
  const int64_t s = std::upper_bound(begin, begin + c.segments.size() + 1, static_cast<int32_t>(block)) - begin - 1;
  const Segment& segment = c.segments[static_cast<size_t>(s)];
  const int64_t token = (block - c.first_unit[s]) * c.plan.block_tok;
  return {&segment, i % c.heads.kv_heads, token, std::min<int64_t>(c.plan.block_tok, segment.length - token)};
}

// Run `r` of a unit into `state`, whose rows that see nothing in the run stay as they are.
void compute_run(const Call& c, const Unit& u, int64_t r, const AttentionState& state, float* scratch) {
  const int64_t dh = c.heads.head_dim;
  AttentionRun run{
      .q = c.qkv.row(u.segment->first_token + u.token) + u.head * c.group() * dh,
      .q_stride = c.qkv.shape[1],
      .group = c.group(),
      .queries = u.queries,
      .first_pos = u.first_pos(),
      .head_dim = dh,
      .scale = c.scale,
      .dtype = c.kv.layout.dtype,
      .integer = c.ctx.numerics == Numerics::kFast && kernels::kv_is_quant(c.kv.layout.dtype),
      .page_begin = r * kRunPages,
      .page_end = std::min((r + 1) * kRunPages, (u.end_pos() + kPageTok - 1) / kPageTok),
  };
  for (int64_t p = run.page_begin; p < run.page_end; ++p) {
    const int32_t id = c.kv.page_table[static_cast<size_t>(u.segment->page_begin + p)];
    run.pages[p - run.page_begin] = c.kv.run(c.layer, u.head, id);
  }
  c.ctx.table->rows.attention_run(run, state, scratch);
}

// Merges run r into the total for the rows that see it.
void merge_run(const Call& c, const Unit& u, int64_t r, const AttentionState& total, const AttentionState& run) {
  const int64_t unseen = std::clamp<int64_t>(r * kRunTok - u.first_pos(), 0, u.queries);
  c.ctx.table->rows.attention_merge(total, run, unseen * c.group(), u.queries * c.group(), c.heads.head_dim);
}

void finish(const Call& c, const Unit& u, const AttentionState& total) {
  const int64_t dh = c.heads.head_dim, group = c.group();
  for (int64_t row = 0; row < u.queries * group; ++row) {
    float* out = c.out.row(u.segment->first_token + u.token + row / group) + (u.head * group + row % group) * dh;
    c.ctx.table->rows.attention_finish(total.out + row * dh, total.sum[row], dh, out);
  }
}

void run_whole_units(const Call& c, int64_t units) {
  const int64_t dh = c.heads.head_dim, rows = c.plan.block_tok * c.group();
  c.ctx.pool->parallel(units, [&](int64_t i, int worker) {
    float* memory = c.workers + worker * c.plan.worker_floats;
    float* scratch = memory + 2 * state_floats(rows, dh);
    const AttentionState total = state_at(memory, rows, dh);
    const AttentionState part = state_at(memory + state_floats(rows, dh), rows, dh);
    const Unit u = find_unit(c, i);
    compute_run(c, u, 0, total, scratch);
    for (int64_t r = 1; r < u.runs(); ++r) {
      compute_run(c, u, r, part, scratch);
      merge_run(c, u, r, total, part);
    }
    finish(c, u, total);
  });
}

// Split mode: block_tok is small enough for run 0 to be seen by every row and for all states to fit.
void run_split_units(const Call& c, int64_t units, int64_t most_runs) {
  const int64_t dh = c.heads.head_dim, rows = c.plan.block_tok * c.group();
  const auto state_of = [&](int64_t i, int64_t r) {
    return state_at(c.partial + (i * most_runs + r) * state_floats(rows, dh), rows, dh);
  };
  c.ctx.pool->parallel(units * most_runs, [&](int64_t chunk, int worker) {
    const int64_t i = chunk / most_runs, r = chunk % most_runs;
    const Unit u = find_unit(c, i);
    float* scratch = c.workers + worker * c.plan.worker_floats + 2 * state_floats(rows, dh);
    if (r < u.runs()) compute_run(c, u, r, state_of(i, r), scratch);
  });
  c.ctx.pool->parallel(units, [&](int64_t i, int) {
    const Unit u = find_unit(c, i);
    for (int64_t r = 1; r < u.runs(); ++r) merge_run(c, u, r, state_of(i, 0), state_of(i, r));
    finish(c, u, state_of(i, 0));
  });
}

}  // namespace

void attention(Context& ctx, TensorView qkv, HeadShape heads, const kernels::KvView& kv, int64_t layer,
               std::span<const Segment> segments, float scale, TensorView out) {
  check_attention(qkv, heads, kv, layer, segments);
  BANTAM_CHECK(out.valid() && out.dtype == DType::kF32 &&
               out.shape == (Shape{qkv.shape[0], heads.q_heads * heads.head_dim}));
  int64_t most_tok = 0, most_pos = 0;
  for (const Segment& s : segments) {
    if (s.length == 0) continue;
    most_tok = std::max<int64_t>(most_tok, s.length);
    most_pos = std::max<int64_t>(most_pos, int64_t{s.start_pos} + s.length);
  }
  if (most_tok == 0) return;
  const AttentionPlan plan =
      plan_attention(most_tok, static_cast<int64_t>(segments.size()), heads, ctx.pool->threads());
  BANTAM_CHECK(ctx.scratch != nullptr && ctx.scratch_bytes >= plan.fixed_bytes);
  float* workers = reinterpret_cast<float*>(ctx.scratch + plan.worker_offset);
  Call c{ctx,      qkv,
         out,      heads,
         kv,       layer,
         segments, scale,
         plan,     reinterpret_cast<int32_t*>(ctx.scratch),
         workers,  workers + ctx.pool->threads() * plan.worker_floats};
  int64_t blocks = 0;
  for (size_t i = 0; i < segments.size(); ++i) {
    c.first_unit[i] = static_cast<int32_t>(blocks);
    blocks += (segments[i].length + plan.block_tok - 1) / plan.block_tok;
  }
  c.first_unit[segments.size()] = static_cast<int32_t>(blocks);
  const int64_t units = blocks * heads.kv_heads, runs = (most_pos + kRunTok - 1) / kRunTok;
  const int64_t split_bytes =
      units * runs * state_floats(plan.block_tok * c.group(), heads.head_dim) * static_cast<int64_t>(sizeof(float));
  if (runs > 1 && units < kSplitUnits * ctx.pool->threads() && ctx.pool->threads() > 1 &&
      plan.fixed_bytes + split_bytes <= ctx.scratch_bytes) {
    run_split_units(c, units, runs);
  } else {
    run_whole_units(c, units);
  }
}

}  // namespace bantam::ops
