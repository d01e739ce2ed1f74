// Synthetic blocks: valid, of the asked size, and the same bytes however the work is split.
#include "quant/random_blocks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "quant/inputs.h"

namespace bantam::quant {
namespace {

class RandomBlocks : public testing::TestWithParam<DType> {};

TEST_P(RandomBlocks, HaveTheAskedSpreadAndNoMean) {
  const DType t = GetParam();
  for (float stddev : {0.02f, 1.0f}) {
    const int64_t n = 1 << 18, count = n / info(t).block_elems;
    std::vector<uint8_t> blocks(static_cast<size_t>(row_bytes(t, n)));
    random_blocks(t, 42, 1000, blocks.data(), count, stddev);
    double sum = 0, square = 0;
    for (float v : decoded(t, blocks)) {
      ASSERT_TRUE(std::isfinite(v));
      sum += static_cast<double>(v);
      square += static_cast<double>(v) * static_cast<double>(v);
    }
    const double rms = std::sqrt(square / static_cast<double>(n));
    EXPECT_NEAR(rms / static_cast<double>(stddev), 1.0, 0.03);
    EXPECT_NEAR(sum / static_cast<double>(n) / static_cast<double>(stddev), 0.0, 0.02);
  }
}

TEST_P(RandomBlocks, DoNotDependOnTheSplit) {
  const DTypeInfo& t = info(GetParam());
  const int64_t n = 2000;
  std::vector<uint8_t> whole(static_cast<size_t>(n * t.block_bytes)), parts(whole.size());
  const uint64_t first = (uint64_t{1} << 34) + 3;
  random_blocks(GetParam(), 7, first, whole.data(), n, 0.02f);
  for (int64_t at = 0, step = 1; at < n; at += step, step = step * 3 % 257 + 1) {
    random_blocks(GetParam(), 7, first + static_cast<uint64_t>(at), parts.data() + at * t.block_bytes,
                  std::min(step, n - at), 0.02f);
  }
  EXPECT_EQ(whole, parts);
  random_blocks(GetParam(), 8, first, parts.data(), n, 0.02f);
  EXPECT_NE(whole, parts);
}
INSTANTIATE_TEST_SUITE_P(Types, RandomBlocks, testing::ValuesIn(weight_types()),
                         [](const auto& param) { return std::string(name(param.param)); });

}  // namespace
}  // namespace bantam::quant
