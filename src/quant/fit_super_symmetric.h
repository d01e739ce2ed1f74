// The super-block search of q6_k, q3_k and iq4_xs: 256 values in kSubs sub-blocks, each with a signed integer scale
// counted in units of one f16 number d of the whole super-block:
//   value = (d * scale[j]) * code
// Templates, stateless, thread-safe. Called by the encoders of those formats.
//
// Method: fit each sub-block's scale freely, once per sign (code books are lopsided, so the sign matters); under a
// trial d take the better of both signs' nearest integers and their neighbours, judged by the exact decoding error;
// refit d by least squares; repeat. Several first guesses of d are tried.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "quant/fit_symmetric.h"

namespace bantam::quant {

template <int kSubs, int N, class Codes, int kMinScale, int kMaxScale>
class SymmetricSuperBlock {
 public:
  uint16_t d = 0;
  int8_t scale[kSubs] = {};
  float codes[kSubs * N] = {};  // element order; values of the code book

  SymmetricSuperBlock(const float* values, ScaleGrid grid, int rounds) {
    exponent_ = normalise(values, x_, kSubs * N, reach<Codes>(kMaxHalf * -kMinScale));
    float top = 0.0f;
    for (int j = 0; j < kSubs; ++j) {
      const Range range = range_of<N>(x_ + j * N);
      plus_[j] = search_scale<Codes, N>(x_ + j * N, range, 1.0f, grid, 3);
      minus_[j] = search_scale<Codes, N>(x_ + j * N, range, -1.0f, grid, 3);
      const float s = plus_[j].explained >= minus_[j].explained ? plus_[j].scale : minus_[j].scale;
      if (std::abs(s) > std::abs(top)) top = s;
    }
    if (top != 0.0f) {
      // Either end of the integer range may take the largest scale, and not always its last step.
      for (const float phase : {0.0f, 1.0f}) {
        const float shrink = 1.0f - phase / static_cast<float>(kMaxScale);
        descend(covering_scale(top / (static_cast<float>(kMinScale) * shrink), exponent_), rounds);
        descend(covering_scale(top / (static_cast<float>(kMaxScale) * shrink), exponent_), rounds);
      }
    }
    const float unit = scale_from_bits(d, exponent_).value;
    for (int j = 0; j < kSubs; ++j) {
      symmetric_codes<Codes, N>(x_ + j * N, unit * static_cast<float>(scale[j]), codes + j * N);
    }
  }

 private:
  struct Choice {
    int scale;
    float error;
  };

  void consider(int j, float unit, int s, Choice* best) const {
    if (s < kMinScale || s > kMaxScale) return;
    const float error = symmetric_error<Codes, N>(x_ + j * N, unit * static_cast<float>(s));
    if (error < best->error) *best = {s, error};
  }

  // The best integer scale of sub-block j under this unit, near its two free fits.
  Choice choose(int j, float unit) const {
    Choice best{0, HUGE_VALF};
    const float inverse = inverse_or_zero(unit);
    for (const ScaleFit* fit : {&plus_[j], &minus_[j]}) {
      const float exact =
          std::clamp(fit->scale * inverse, static_cast<float>(kMinScale), static_cast<float>(kMaxScale));
      const int centre = static_cast<int>(std::floor(exact + 0.5f));
      for (int s = centre - 1; s <= centre + 1; ++s) consider(j, unit, s, &best);
    }
    return best;
  }

  void descend(BlockScale unit, int rounds) {
    for (int round = 0; round < rounds; ++round) {
      Choice choices[kSubs];
      double total = 0.0;
      for (int j = 0; j < kSubs; ++j) {
        choices[j] = choose(j, unit.value);
        total += static_cast<double>(choices[j].error);
      }
      if (total >= best_error_) {
        if (round > 0) break;
      } else {
        best_error_ = total;
        d = unit.bits;
        for (int j = 0; j < kSubs; ++j) scale[j] = static_cast<int8_t>(choices[j].scale);
      }
      const uint16_t old = unit.bits;
      refit(choices, &unit);
      if (unit.bits == old) break;
    }
  }

  void refit(const Choice* choices, BlockScale* unit) const {
    double xq = 0, qq = 0;
    for (int j = 0; j < kSubs; ++j) {
      const float s = unit->value * static_cast<float>(choices[j].scale);
      const SymmetricSums sums = symmetric_sums<Codes, N>(x_ + j * N, inverse_or_zero(s));
      xq += static_cast<double>(choices[j].scale) * static_cast<double>(sums.xq);
      qq += static_cast<double>(choices[j].scale) * choices[j].scale * static_cast<double>(sums.qq);
    }
    if (qq > 0) *unit = nearest_scale(static_cast<float>(xq / qq), exponent_);
  }

  alignas(16) float x_[kSubs * N];
  ScaleFit plus_[kSubs], minus_[kSubs];
  double best_error_ = HUGE_VAL;
  int exponent_ = 0;
};

}  // namespace bantam::quant
