// exact_exp and exact_log against libm in long double.
#include "base/exact_math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/rng.h"

namespace bantam {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(ExactMath, ExpIsAccurate) {
  Philox rng(1);
  double worst = 0;
  for (int i = 0; i < 200000; ++i) {
    const double x = (rng.uniform() * 2 - 1) * (i % 2 == 0 ? 700.0 : 1.0);
    const long double want = std::exp(static_cast<long double>(x));
    worst = std::max(worst, static_cast<double>(std::abs((exact_exp(x) - want) / want)));
  }
  EXPECT_LT(worst, 1e-15);
  EXPECT_EQ(exact_exp(0), 1);
  EXPECT_EQ(exact_exp(-701), 0);
  EXPECT_EQ(exact_exp(-kInfinity), 0);
  EXPECT_EQ(exact_exp(701), kInfinity);
  EXPECT_TRUE(std::isnan(exact_exp(std::nan(""))));
}

TEST(ExactMath, LogIsAccurate) {
  Philox rng(2);
  double worst = 0;
  for (int i = 0; i < 200000; ++i) {
    const double x = std::ldexp(1.0 + rng.uniform(), static_cast<int>(rng.below(2000)) - 1000);
    const long double want = std::log(static_cast<long double>(x));
    if (want == 0) continue;
    worst = std::max(worst, static_cast<double>(std::abs((exact_log(x) - want) / want)));
  }
  EXPECT_LT(worst, 1e-14);
  EXPECT_EQ(exact_log(1), 0);
  EXPECT_EQ(exact_log(0), -kInfinity);
  EXPECT_EQ(exact_log(kInfinity), kInfinity);
  EXPECT_TRUE(std::isnan(exact_log(-1)));
}

}  // namespace
}  // namespace bantam
