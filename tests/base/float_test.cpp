// Exhaustive checks of the small float formats against the compiler's own conversions.
#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "tensor/bf16.h"

namespace bantam {
namespace {

TEST(Float, HalfToFloatMatchesTheCompilerForEveryPattern) {
  for (uint32_t h = 0; h < 65536; ++h) {
    const float ours = f16_to_f32(static_cast<uint16_t>(h));
    const float theirs = static_cast<float>(std::bit_cast<_Float16>(static_cast<uint16_t>(h)));
    if (std::isnan(theirs)) {
      EXPECT_TRUE(std::isnan(ours));
    } else {
      ASSERT_EQ(std::bit_cast<uint32_t>(ours), std::bit_cast<uint32_t>(theirs)) << h;
    }
  }
}
TEST(Float, FloatToHalfMatchesTheCompiler) {
  Philox rng(1);
  for (int i = 0; i < 2000000; ++i) {
    uint32_t u = rng.next();
    if (i % 2) u = (u & 0x807FFFFFu) | ((100 + rng.below(50)) << 23);  // around half's range and its subnormals
    const float f = std::bit_cast<float>(u);
    if (std::isnan(f)) continue;
    ASSERT_EQ(f32_to_f16(f), std::bit_cast<uint16_t>(static_cast<_Float16>(f))) << u;
  }
}
TEST(Float, Bf16RoundsToNearestEven) {
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3F808000u)), 0x3F80);  // tie, even below
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3F818000u)), 0x3F82);  // tie, even above
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3F808001u)), 0x3F81);
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(0x7F800001u)))));
}
TEST(Float, F8E4M3) {
  EXPECT_EQ(f8_e4m3_to_f32(0x7E), 448.0f);
  EXPECT_EQ(f8_e4m3_to_f32(0x01), 0x1.0p-9f);
  EXPECT_EQ(f8_e4m3_to_f32(0x88), -0x1.0p-6f);
  EXPECT_TRUE(std::isnan(f8_e4m3_to_f32(0xFF)));
}

}  // namespace
}  // namespace bantam
