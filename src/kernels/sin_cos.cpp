// sin and cos of fp32 angles for RoPE, in double and with baseline instructions only, so every CPU and every table
// gets the same bits; libm's differ between versions. Reduction to |r| <= pi/4 subtracts n * pi/2 with pi/2 in two
// parts, the first of 33 bits so that n * part is exact for n < 2^20; then the classic Taylor-like polynomials of
// degree 13 and 14 (own evaluation of the series: the first omitted term is below 2^-43, far under fp32's 2^-24).
#include <cmath>
#include <cstdint>

#include "kernels/row_kernels.h"

namespace bantam::kernels {
namespace {

constexpr double kTwoOverPi = 0x1.45f306dc9c883p-1;
constexpr double kHalfPiHigh = 0x1.921fb544p+0;       // 33 bits
constexpr double kHalfPiLow = 0x1.0b4611a626331p-34;  // the next 53

double sine_of(double r) {
  const double z = r * r;
  double p = 1.0 / 6227020800.0;
  p = p * z - 1.0 / 39916800.0;
  p = p * z + 1.0 / 362880.0;
  p = p * z - 1.0 / 5040.0;
  p = p * z + 1.0 / 120.0;
  p = p * z - 1.0 / 6.0;
  return r + r * z * p;
}

double cosine_of(double r) {
  const double z = r * r;
  double p = -1.0 / 87178291200.0;
  p = p * z + 1.0 / 479001600.0;
  p = p * z - 1.0 / 3628800.0;
  p = p * z + 1.0 / 40320.0;
  p = p * z - 1.0 / 720.0;
  p = p * z + 1.0 / 24.0;
  return 1.0 - 0.5 * z + z * z * p;
}

}  // namespace

void sin_cos(float angle, float* sine, float* cosine) {
  const double x = angle;
  const double magic = 0x1.8p52;
  const double n = (x * kTwoOverPi + magic) - magic;  // nearest integer
  const double r = (x - n * kHalfPiHigh) - n * kHalfPiLow;
  const double s = sine_of(r), c = cosine_of(r);
  switch (static_cast<int64_t>(n) & 3) {
    case 0:
      *sine = static_cast<float>(s), *cosine = static_cast<float>(c);
      break;
    case 1:
      *sine = static_cast<float>(c), *cosine = static_cast<float>(-s);
      break;
    case 2:
      *sine = static_cast<float>(-s), *cosine = static_cast<float>(-c);
      break;
    default:
      *sine = static_cast<float>(-c), *cosine = static_cast<float>(s);
      break;
  }
}

}  // namespace bantam::kernels
