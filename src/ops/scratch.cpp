// The bytes of Context::scratch. Ops run one after another, so the largest need suffices.
#include <algorithm>

#include "base/check.h"
#include "ops/attention_plan.h"
#include "ops/linear_parts.h"
#include "ops/mlp_plan.h"
#include "ops/ops.h"

namespace bantam::ops {
namespace {

// Partial states of split attention: a single token always splits; more may, while they fit in 8 MiB.
constexpr int64_t kSplitBytes = 8 << 20;

int64_t attention_bytes(int64_t max_tok, HeadShape heads, int64_t max_pos, int threads) {
  const int64_t group = heads.q_heads / heads.kv_heads;
  const int64_t runs = (max_pos + kernels::kRunTok - 1) / kernels::kRunTok;
  const int64_t one_token = heads.kv_heads * runs * state_floats(group, heads.head_dim) * int64_t{sizeof(float)};
  const int64_t most = std::min(one_token * max_tok, std::max(one_token, kSplitBytes));
  return plan_attention(max_tok, max_tok, heads, threads).fixed_bytes + (threads > 1 && runs > 1 ? most : 0);
}

// Panels of products, whose size no chunk's tiles decide, and the activations before and after.
int64_t mlp_bytes(int64_t max_tok, int64_t max_k, int threads) {
  return threads * (kernels::kLinearScratchBytes + plan_mlp(max_tok, 1).panel_bytes) +
         2 * activation_bytes(max_tok, max_k);
}

}  // namespace

int64_t scratch_bytes(int64_t max_tok, int64_t max_k, int64_t /*max_n*/, HeadShape heads, int64_t max_pos,
                      int threads) {
  BANTAM_CHECK(max_tok >= 1 && max_k >= 1 && max_pos >= 1 && threads >= 1);
  BANTAM_CHECK(heads.kv_heads > 0 && heads.q_heads % heads.kv_heads == 0);
  return std::max(mlp_bytes(max_tok, max_k, threads), attention_bytes(max_tok, heads, max_pos, threads));
}

}  // namespace bantam::ops
