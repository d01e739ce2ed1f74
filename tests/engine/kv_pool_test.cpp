// KvPool: random allocations, shares and releases against a model of what they must do.
#include "engine/kv_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/rng.h"

namespace bantam::engine {
namespace {

constexpr int64_t kPages = 37;

TEST(KvPool, RandomOperationsKeepItWhole) {
  auto created = KvPool::create(kernels::KvLayout{DType::kF16, 2, 1, 16}, kPages);
  ASSERT_TRUE(created.ok());
  KvPool pool = std::move(*created);
  EXPECT_EQ(pool.capacity(), kPages);
  Philox rng(5);
  std::vector<int32_t> held;  // one entry per reference
  for (int i = 0; i < 20000; ++i) {
    const uint32_t what = rng.below(3);
    if (what == 0 && pool.free_pages() > 0) {
      const int32_t page = pool.allocate();
      ASSERT_EQ(std::count(held.begin(), held.end(), page), 0) << "a page in use was handed out";
      held.push_back(page);
    } else if (what == 1 && !held.empty()) {
      const int32_t page = held[rng.below(static_cast<uint32_t>(held.size()))];
      pool.retain(page);
      held.push_back(page);
    } else if (!held.empty()) {
      const size_t at = rng.below(static_cast<uint32_t>(held.size()));
      pool.release(held[at]);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(at));
    }
    if (i % 100 != 0) continue;
    ASSERT_TRUE(pool.check_integrity());
    for (int32_t page = 0; page < kPages; ++page) {
      ASSERT_EQ(pool.references(page), std::count(held.begin(), held.end(), page));
    }
  }
  for (int32_t page : held) pool.release(page);
  EXPECT_EQ(pool.free_pages(), kPages);
  EXPECT_TRUE(pool.check_integrity());
}

TEST(KvPool, CopyTakesEveryLayerAndNothingElse) {
  auto created = KvPool::create(kernels::KvLayout{DType::kF32, 3, 2, 16}, 4);
  ASSERT_TRUE(created.ok());
  KvPool pool = std::move(*created);
  const kernels::KvView view = pool.view({});
  const auto bytes = static_cast<size_t>(pool.layout().head_bytes());
  for (int64_t layer = 0; layer < 3; ++layer) {
    for (int64_t head = 0; head < 2; ++head) {
      for (int32_t page = 0; page < 4; ++page) {
        std::memset(view.run(layer, head, page), static_cast<int>(20 * layer + 10 * head + page), bytes);
      }
    }
  }
  pool.copy(1, 3);
  for (int64_t layer = 0; layer < 3; ++layer) {
    const int want[] = {0, 1, 2, 1};
    for (int64_t head = 0; head < 2; ++head) {
      for (int32_t page = 0; page < 4; ++page) {
        const auto* data = reinterpret_cast<const unsigned char*>(view.run(layer, head, page));
        EXPECT_EQ(data[0], 20 * layer + 10 * head + want[page]);
        EXPECT_EQ(data[bytes - 1], 20 * layer + 10 * head + want[page]);
      }
    }
  }
}

}  // namespace
}  // namespace bantam::engine
