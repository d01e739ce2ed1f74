// Least-squares search of the one scale of a symmetric block: x ~ scale * code, code from a fixed code book. Used by
// q8_0, q4_0, q5_0, iq4_nl and, per sub-block, by q6_k, q3_k and iq4_xs. Templates, stateless, thread-safe.
//
// For fixed codes q the best scale is Sxq / Sqq and explains Sxq^2 / Sqq of the block's energy, so a candidate costs
// one pass and no second one for its error. The error as a function of the scale is jagged with many local minima, so
// a grid of candidates comes first, then Lloyd steps (best scale for the codes, best codes for the scale).
#pragma once

#include <algorithm>
#include <cmath>

#include "quant/block_input.h"
#include "quant/lanes.h"

namespace bantam::quant {

// The integers kLow..kHigh.
template <int kLow, int kHigh>
struct LinearCodes {
  static constexpr float kMin = kLow;
  static constexpr float kMax = kHigh;
  static F4 nearest(F4 t) { return round4(min4(max4(t, splat(kMin)), splat(kMax))); }
};

// What a block of these codes with a scale of at most `top_scale`, of either sign, can hold.
template <class Codes>
constexpr Range reach(float top_scale) {
  const float end = top_scale * std::max(-Codes::kMin, Codes::kMax);
  return {-end, end};
}

// Which scales to try, as fractions of the inverse of the smallest scale that clips nothing.
struct ScaleGrid {
  float first;
  float step;
  int count;
};

struct SymmetricSums {
  float xq = 0.0f;
  float qq = 0.0f;
  float explained() const { return qq > 0.0f ? xq / qq * xq : 0.0f; }
  float scale() const { return qq > 0.0f ? xq / qq : 0.0f; }
};

template <class Codes, int N>
SymmetricSums symmetric_sums(const float* x, float inverse) {
  F4 xq = splat(0.0f), qq = splat(0.0f);
  const F4 factor = splat(inverse);
  for (int i = 0; i < N; i += 4) {
    const F4 v = load4(x + i);
    const F4 q = Codes::nearest(v * factor);
    xq += v * q;
    qq += q * q;
  }
  return {sum4(xq), sum4(qq)};
}

// The squared error at a given scale with the nearest codes; what a decoder will see, in the normalised range.
template <class Codes, int N>
float symmetric_error(const float* x, float scale) {
  const F4 factor = splat(inverse_or_zero(scale)), s = splat(scale);
  F4 sum = splat(0.0f);
  for (int i = 0; i < N; i += 4) {
    const F4 v = load4(x + i);
    const F4 r = v - s * Codes::nearest(v * factor);
    sum += r * r;
  }
  return sum4(sum);
}

template <class Codes, int N>
void symmetric_codes(const float* x, float scale, float* codes) {
  const F4 factor = splat(inverse_or_zero(scale));
  for (int i = 0; i < N; i += 4) store4(codes + i, Codes::nearest(load4(x + i) * factor));
}

template <int N>
Range range_of(const float* x) {
  F4 low = load4(x), high = low;
  for (int i = 4; i < N; i += 4) {
    low = min4(low, load4(x + i));
    high = max4(high, load4(x + i));
  }
  return {std::min(std::min(low[0], low[1]), std::min(low[2], low[3])),
          std::max(std::max(high[0], high[1]), std::max(high[2], high[3]))};
}

struct ScaleFit {
  float scale = 0.0f;
  float explained = 0.0f;
};

// The best scale of the given sign (+1 or -1) for a block whose values span `range`.
template <class Codes, int N>
ScaleFit search_scale(const float* x, Range range, float sign, ScaleGrid grid, int lloyd_steps) {
  const float up = std::max(sign > 0 ? range.high : -range.low, 0.0f);
  const float down = std::max(sign > 0 ? -range.low : range.high, 0.0f);
  const float unclipped = std::max(up / Codes::kMax, down / -Codes::kMin);
  if (unclipped < kTinyScale) return {};
  const float base = sign / unclipped;
  SymmetricSums best;
  for (int i = 0; i < grid.count; ++i) {
    const SymmetricSums sums = symmetric_sums<Codes, N>(x, base * (grid.first + grid.step * static_cast<float>(i)));
    if (sums.explained() > best.explained()) best = sums;
  }
  for (int i = 0; i < lloyd_steps && best.xq != 0.0f; ++i) {
    const SymmetricSums sums = symmetric_sums<Codes, N>(x, best.qq / best.xq);
    if (!(sums.explained() > best.explained())) break;
    best = sums;
  }
  return {best.scale(), best.explained()};
}

// The stored scale of a block of one f16 scale: the best of both signs' fits and of the format's textbook choice
// (the value of largest magnitude on code kMin), judged by the decoder's own error. Never worse than the textbook.
template <class Codes, int N>
BlockScale fit_block(const float* x, int exponent, ScaleGrid grid, int lloyd_steps) {
  const Range range = range_of<N>(x);
  const float extreme = -range.low > range.high ? range.low : range.high;
  const float guesses[3] = {extreme / Codes::kMin, search_scale<Codes, N>(x, range, 1.0f, grid, lloyd_steps).scale,
                            search_scale<Codes, N>(x, range, -1.0f, grid, lloyd_steps).scale};
  BlockScale best;
  float best_error = HUGE_VALF;
  const auto consider = [&](BlockScale s) {
    const float error = symmetric_error<Codes, N>(x, s.value);
    if (error < best_error) {
      best_error = error;
      best = s;
    }
  };
  for (const float guess : guesses) {
    const BlockScale s = nearest_scale(guess, exponent);
    consider(s);
    // Among f16's subnormals the steps are coarse: the neighbour away from zero may be the better one.
    if (is_subnormal(s)) consider(covering_scale(guess, exponent));
  }
  return best;
}

}  // namespace bantam::quant
