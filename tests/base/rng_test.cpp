// Philox against the published known-answer vectors (Random123's kat_vectors for philox4x32-10).
#include "base/rng.h"

#include <gtest/gtest.h>

namespace bantam {
namespace {

TEST(Rng, PhiloxKnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}
TEST(Rng, UniformIsAPureFunctionOfItsCounter) {
  EXPECT_EQ(uniform_at(7, 1, 42), uniform_at(7, 1, 42));
  EXPECT_NE(uniform_at(7, 1, 42), uniform_at(7, 2, 42));
  double sum = 0;
  for (uint64_t i = 0; i < 10000; ++i) sum += uniform_at(3, 0, i);
  EXPECT_NEAR(sum / 10000, 0.5, 0.01);
}

}  // namespace
}  // namespace bantam
