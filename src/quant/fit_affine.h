// Least-squares search of scale and offset of an affine block: x ~ scale * code + offset, code 0..kTop. Used by q4_1
// and q5_1 and, per sub-block, by q4_k, q5_k and q2_k. Templates, stateless, thread-safe.
#pragma once

#include <algorithm>
#include <cmath>

#include "quant/fit_symmetric.h"
#include "quant/lanes.h"

namespace bantam::quant {

struct AffineFit {
  float scale = 0.0f;
  float offset = 0.0f;
  double explained = 0.0;  // how much of sum(x^2) the fit takes away
};

// Ends of the candidate ranges, as fractions of the block's span cut off (negative: added) at either side.
struct AffineGrid {
  float first;
  float step;
  int count;
};

struct AffineSums {
  float q = 0.0f, qq = 0.0f, xq = 0.0f;
};

template <int kTop, int N>
AffineSums affine_sums(const float* x, float inverse, float offset) {
  F4 sq = splat(0.0f), sqq = splat(0.0f), sxq = splat(0.0f);
  const F4 factor = splat(inverse), low = splat(offset);
  for (int i = 0; i < N; i += 4) {
    const F4 v = load4(x + i);
    const F4 q = LinearCodes<0, kTop>::nearest((v - low) * factor);
    sq += q;
    sqq += q * q;
    sxq += v * q;
  }
  return {sum4(sq), sum4(sqq), sum4(sxq)};
}

// The best scale and offset for fixed codes. With kFree the offset may have any sign, otherwise it is at most 0.
template <int N, bool kFree>
AffineFit solve_affine(const AffineSums& s, double sum_x) {
  const double sq = s.q, sqq = s.qq, sxq = s.xq;
  const double det = N * sqq - sq * sq;
  if (det > 0.0) {
    const double inverse = 1.0 / det;
    const double scale = (N * sxq - sum_x * sq) * inverse;
    const double offset = (sqq * sum_x - sq * sxq) * inverse;
    if (scale > 0.0 && (kFree || offset <= 0.0)) {
      return {static_cast<float>(scale), static_cast<float>(offset), scale * sxq + offset * sum_x};
    }
  }
  if (sqq > 0.0 && sxq > 0.0) return {static_cast<float>(sxq / sqq), 0.0f, sxq / sqq * sxq};
  return {};
}

// The squared error at a given scale and offset with the nearest codes.
template <int kTop, int N>
float affine_error(const float* x, float scale, float offset) {
  const F4 factor = splat(inverse_or_zero(scale)), s = splat(scale), low = splat(offset);
  F4 sum = splat(0.0f);
  for (int i = 0; i < N; i += 4) {
    const F4 v = load4(x + i);
    const F4 r = v - (s * LinearCodes<0, kTop>::nearest((v - low) * factor) + low);
    sum += r * r;
  }
  return sum4(sum);
}

template <int kTop, int N>
void affine_codes(const float* x, float scale, float offset, float* codes) {
  const F4 factor = splat(inverse_or_zero(scale)), low = splat(offset);
  for (int i = 0; i < N; i += 4) {
    store4(codes + i, LinearCodes<0, kTop>::nearest((load4(x + i) - low) * factor));
  }
}

template <int N>
double sum_of(const float* x) {
  F4 sum = splat(0.0f);
  for (int i = 0; i < N; i += 4) sum += load4(x + i);
  return static_cast<double>(sum4(sum));
}

template <int kTop, int N, bool kFree>
AffineFit search_affine(const float* x, AffineGrid grid, int lloyd_steps) {
  Range range = range_of<N>(x);
  if (!kFree) range.low = std::min(range.low, 0.0f);
  const double sum_x = sum_of<N>(x);
  const float span = range.high - range.low;
  if (span < kTinyScale) return {0.0f, range.low, sum_x * static_cast<double>(range.low)};
  AffineFit best;
  for (int i = 0; i < grid.count; ++i) {
    const float low = range.low + span * (grid.first + grid.step * static_cast<float>(i));
    for (int j = 0; j < grid.count; ++j) {
      const float high = range.high - span * (grid.first + grid.step * static_cast<float>(j));
      const auto sums = affine_sums<kTop, N>(x, static_cast<float>(kTop) / (high - low), low);
      const AffineFit fit = solve_affine<N, kFree>(sums, sum_x);
      if (fit.explained > best.explained) best = fit;
    }
  }
  for (int i = 0; i < lloyd_steps && best.scale > 0.0f; ++i) {
    const auto sums = affine_sums<kTop, N>(x, 1.0f / best.scale, best.offset);
    const AffineFit fit = solve_affine<N, kFree>(sums, sum_x);
    if (!(fit.explained > best.explained)) break;
    best = fit;
  }
  return best;
}

// The stored scale and offset of a block of f16 scale and f16 offset: the best of the search and of the textbook
// choice (smallest value on code 0, largest on kTop), judged by the decoder's own error.
struct StoredAffine {
  BlockScale scale, offset;
};
template <int kTop, int N>
StoredAffine fit_affine_block(const float* x, int exponent, AffineGrid grid, int lloyd_steps) {
  const Range range = range_of<N>(x);
  const AffineFit fit = search_affine<kTop, N, true>(x, grid, lloyd_steps);
  const float guesses[2][2] = {{(range.high - range.low) / static_cast<float>(kTop), range.low},
                               {fit.scale, fit.offset}};
  StoredAffine best;
  float best_error = HUGE_VALF;
  const auto consider = [&](StoredAffine s) {
    const float error = affine_error<kTop, N>(x, s.scale.value, s.offset.value);
    if (error < best_error) {
      best_error = error;
      best = s;
    }
  };
  for (const auto& guess : guesses) {
    const StoredAffine s{nearest_scale(guess[0], exponent), nearest_scale(guess[1], exponent)};
    consider(s);
    if (is_subnormal(s.scale)) consider({covering_scale(guess[0], exponent), s.offset});
  }
  return best;
}

}  // namespace bantam::quant
