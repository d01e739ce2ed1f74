// exp and log in double from plain additions and multiplications: unlike libm's, which pick an FMA variant by CPU,
// these give the same bits everywhere. Used where a sampled token could hang on the last bit. Pure; thread-safe.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

namespace bantam {

// e^x with relative error below 1e-15 for x in [-700, 700]; 0 below, infinity above, NaN for NaN.
inline double exact_exp(double x) {
  if (x != x) return x;
  if (x < -700) return 0;
  if (x > 700) return std::numeric_limits<double>::infinity();
  // x = k ln2 + r with |r| <= ln2/2; ln2 in two parts so that k * kHigh is exact (Cody and Waite).
  constexpr double kLog2e = 1.4426950408889634, kHigh = 6.93147180369123816490e-01, kLow = 1.90821492927058770002e-10;
  const double shifted = x * kLog2e;
  const auto k = static_cast<int64_t>(shifted < 0 ? shifted - 0.5 : shifted + 0.5);
  const double r = (x - static_cast<double>(k) * kHigh) - static_cast<double>(k) * kLow;
  // Taylor by Horner: 0.35^14 / 14! < 5e-18.
  constexpr double kInverseFactorial[] = {
      1.0,        1.0,         1.0 / 2,      1.0 / 6,       1.0 / 24,       1.0 / 120,       1.0 / 720,
      1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0};
  double sum = 1.0 / 87178291200.0;
  for (int n = 13; n >= 0; --n) sum = sum * r + kInverseFactorial[n];
  return sum * std::bit_cast<double>(static_cast<uint64_t>(k + 1023) << 52);
}

// ln x with relative error below 1e-14 for normal positive x; -infinity at 0, NaN for negative x.
inline double exact_log(double x) {
  if (x != x || x < 0) return std::numeric_limits<double>::quiet_NaN();
  if (x == 0) return -std::numeric_limits<double>::infinity();
  if (x > std::numeric_limits<double>::max()) return x;
  uint64_t bits = std::bit_cast<uint64_t>(x);
  int64_t exponent = static_cast<int64_t>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFFull) | 0x3FF0000000000000ull);  // [1, 2)
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  // ln m = 2 atanh(s), s = (m - 1) / (m + 1), |s| <= 0.1716.
  const double s = (m - 1) / (m + 1), s2 = s * s;
  double sum = 0, power = s;
  for (int n = 1; n <= 23; n += 2) {
    sum += power / n;
    power *= s2;
  }
  return static_cast<double>(exponent) * 0.69314718055994530942 + 2 * sum;
}

}  // namespace bantam
