// Attention probabilities for probing, straight from the definition. Scores are the kernels' own (the same FMA order;
// over quantised pages those of `exact`, with fp32 queries), exponentials too; only the total is summed plainly, in
// double, because a map is read and not multiplied.
#include <algorithm>
#include <cmath>

#include "kernels/kv_codes.h"
#include "ops/attention_shapes.h"

namespace bantam::ops {
namespace {

using kernels::kPageTok;

// scores[pos] for positions [0, count) of one query head, then their softmax, in place.
void probabilities(const Context& ctx, const float* q, HeadShape heads, const kernels::KvView& kv, int64_t layer,
                   int64_t kv_head, const kernels::Segment& s, int64_t count, float scale, float* scores) {
  for (int64_t pos = 0; pos < count; ++pos) {
    const int32_t id = kv.page_table[static_cast<size_t>(s.page_begin + pos / kPageTok)];
    const std::byte* head = kv.run(layer, kv_head, id);
    float sum = 0;
    for (int64_t d = 0; d < heads.head_dim; ++d) {
      sum = std::fma(q[d], kernels::kv_key(kv.layout.dtype, heads.head_dim, head, pos % kPageTok, d), sum);
    }
    scores[pos] = sum * scale;
  }
  ctx.table->rows.exp_shifted(scores, *std::max_element(scores, scores + count), count, scores);
  double total = 0;
  for (int64_t pos = 0; pos < count; ++pos) total += scores[pos];
  for (int64_t pos = 0; pos < count; ++pos) scores[pos] = static_cast<float>(scores[pos] / total);
}

}  // namespace

void attention_probs(Context& ctx, TensorView qkv, HeadShape heads, const kernels::KvView& kv, int64_t layer,
                     const kernels::Segment& segment, float scale, float* probs) {
  kernels::Segment alone = segment;
  alone.parent = -1;  // its page table already covers its ancestors
  check_attention(qkv, heads, kv, layer, {&alone, 1});
  const int64_t length = segment.length, width = segment.start_pos + length, dh = heads.head_dim;
  ctx.pool->parallel(heads.q_heads * length, [&](int64_t chunk, int) {
    const int64_t head = chunk / length, token = chunk % length, count = segment.start_pos + token + 1;
    float* row = probs + chunk * width;
    std::fill(row + count, row + width, 0.0f);
    probabilities(ctx, qkv.row(segment.first_token + token) + head * dh, heads, kv, layer,
                  head / (heads.q_heads / heads.kv_heads), segment, count, scale, row);
  });
}

}  // namespace bantam::ops
