// How attention divides its scratch: shared by attention() and scratch_bytes(). Private to ops.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/row_kernels.h"
#include "ops/ops.h"

namespace bantam::ops {

// Fewer units than this per thread are split into runs.
inline constexpr int64_t kSplitUnits = 4;

// Rows that a block is not cut below: enough for whole tiles.
inline constexpr int64_t kLeastRows = 32;

// Floats of the state of `rows` rows: out, max, sum; a multiple of 16.
inline constexpr int64_t state_floats(int64_t rows, int64_t head_dim) {
  return (rows * (head_dim + 2) + 15) / 16 * 16;
}

struct AttentionPlan {
  int64_t block_tok;      // tokens of a block of queries
  int64_t worker_offset;  // bytes before the workers' memory
  int64_t worker_floats;  // per thread: two states and the kernel's scratch
  int64_t fixed_bytes;    // all but the partial states of split mode
};

// For a batch whose longest segment has most_tok tokens.
inline AttentionPlan plan_attention(int64_t most_tok, int64_t segments, HeadShape heads, int threads) {
  const int64_t group = heads.q_heads / heads.kv_heads;
  AttentionPlan p{};
  // Large blocks read and convert each page less often; below kSplitUnits per thread they would leave threads idle.
  // Never smaller for more tokens, so scratch for the longest call suffices for all.
  p.block_tok = std::max<int64_t>(kernels::kMaxAttentionRows / group, 1);
  while (p.block_tok > 1 && p.block_tok * group > kLeastRows &&
         (most_tok + p.block_tok - 1) / p.block_tok * heads.kv_heads < kSplitUnits * threads) {
    p.block_tok /= 2;
  }
  p.block_tok = std::min(p.block_tok, most_tok);
  const int64_t rows = p.block_tok * group;
  p.worker_offset = ((segments + 1) * static_cast<int64_t>(sizeof(int32_t)) + 63) / 64 * 64;
  p.worker_floats = 2 * state_floats(rows, heads.head_dim) + kernels::attention_scratch_floats(rows, heads.head_dim);
  p.fixed_bytes = p.worker_offset + threads * p.worker_floats * static_cast<int64_t>(sizeof(float));
  return p;
}

}  // namespace bantam::ops
