// Generated keys and values for benchmarks of depth. Rows go through the table's own kv_store, so that every page type
// holds what real rows would leave there; a few patterns are stored once and copied, because filling 64k tokens of a
// 4B model (9.7 GB in f16) must take seconds.
#include <cstring>
#include <vector>

#include "base/check.h"
#include "base/rng.h"
#include "ops/attention_shapes.h"

namespace bantam::ops {
namespace {

// Enough that equal neighbours are rare, few enough to stay in the second cache level while they are copied.
constexpr int64_t kPatterns = 13;

std::vector<std::byte> make_patterns(const Context& ctx, const kernels::KvLayout& layout, uint64_t seed) {
  const int64_t dh = layout.head_dim, bytes = layout.head_bytes();
  std::vector<float> rows(static_cast<size_t>(2 * kernels::kPageTok * dh));
  std::vector<std::byte> patterns(static_cast<size_t>(kPatterns * bytes));
  for (int64_t i = 0; i < kPatterns; ++i) {
    Philox rng(seed + static_cast<uint64_t>(i) * 0x9E3779B97F4A7C15u);
    for (float& x : rows) x = 2 * rng.uniform() - 1;
    ctx.table->rows.kv_store(rows.data(), rows.data() + dh, 2 * dh, kernels::kPageTok, 0, dh, layout.dtype,
                             patterns.data() + i * bytes);
  }
  return patterns;
}

}  // namespace

void kv_fill(Context& ctx, const kernels::KvView& kv, std::span<const int32_t> page_ids, uint64_t seed) {
  const kernels::KvLayout& layout = kv.layout;
  for (int32_t id : page_ids) BANTAM_CHECK(id >= 0 && id < kv.pages);
  const std::vector<std::byte> patterns = make_patterns(ctx, layout, seed);
  const auto pages = static_cast<int64_t>(page_ids.size());
  ctx.pool->parallel(layout.layers * pages, [&](int64_t i, int) {
    for (int64_t head = 0; head < layout.kv_heads; ++head) {
      const int64_t pattern = (i * layout.kv_heads + head) % kPatterns;
      std::memcpy(kv.run(i / pages, head, page_ids[static_cast<size_t>(i % pages)]),
                  patterns.data() + pattern * layout.head_bytes(), static_cast<size_t>(layout.head_bytes()));
    }
  });
}

}  // namespace bantam::ops
