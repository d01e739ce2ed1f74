// The super-block search of q4_k, q5_k and q2_k: 256 values in kSubs sub-blocks, each with an integer scale and an
// integer minimum, both counted in f16 units (d, dmin) of the whole super-block:
//   value = (d * scale[j]) * code - dmin * min[j]
// Templates, stateless, thread-safe. Called by the encoders of those formats.
//
// Method: fit every sub-block freely; round the fits to integers under trial units; walk each sub-block's integer
// pair downhill on its exact decoding error; refit (d, dmin) by least squares for the codes so found; repeat. The
// error that decides is always the decoder's own, rounding of d and dmin to f16 included.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "quant/fit_affine.h"

namespace bantam::quant {

template <int kSubs, int N, int kTop, int kMaxScale>
class AffineSuperBlock {
 public:
  uint16_t d = 0, dmin = 0;
  uint8_t scale[kSubs] = {}, min[kSubs] = {};
  uint8_t codes[kSubs * N] = {};  // element order

  AffineSuperBlock(const float* values, AffineGrid grid, int rounds) {
    exponent_ = normalise(values, x_, kSubs * N, {-kMaxHalf * kMaxScale, kMaxHalf * kMaxScale * kTop});
    float top_scale = 0.0f, top_min = 0.0f;
    for (int j = 0; j < kSubs; ++j) {
      fit_[j] = search_affine<kTop, N, false>(x_ + j * N, grid, 3);
      top_scale = std::max(top_scale, fit_[j].scale);
      top_min = std::max(top_min, -fit_[j].offset);
    }
    if (top_scale == 0.0f && top_min == 0.0f) return;
    // The largest scale need not take the largest integer: other phases suit the other sub-blocks better.
    for (const float phase : {0.0f, 1.5f, 3.0f}) {
      const float steps = static_cast<float>(kMaxScale) - (kMaxScale > 15 ? phase : phase * 0.25f);
      descend(covering_scale(top_scale / steps, exponent_), covering_scale(top_min / steps, exponent_), rounds);
    }
    write_best();
  }

 private:
  struct Pair {
    int scale, min;
    float error;
  };

  float error_at(int j, float d_unit, float m_unit, int s, int m) const {
    return affine_error<kTop, N>(x_ + j * N, d_unit * static_cast<float>(s), -(m_unit * static_cast<float>(m)));
  }

  // Steps to the best of the eight neighbours until none is better, at most `limit` times.
  Pair walk(int j, float d_unit, float m_unit, Pair at, int limit) const {
    for (int moves = 0; moves < limit; ++moves) {
      Pair best = at;
      for (int s = std::max(at.scale - 1, 0); s <= std::min(at.scale + 1, kMaxScale); ++s) {
        for (int m = std::max(at.min - 1, 0); m <= std::min(at.min + 1, kMaxScale); ++m) {
          if (s == at.scale && m == at.min) continue;
          const float error = error_at(j, d_unit, m_unit, s, m);
          if (error < best.error) best = {s, m, error};
        }
      }
      if (best.scale == at.scale && best.min == at.min) break;
      at = best;
    }
    return at;
  }

  static int to_steps(float value, float unit) {
    return static_cast<int>(std::clamp(value * inverse_or_zero(unit) + 0.5f, 0.0f, static_cast<float>(kMaxScale)));
  }

  void descend(BlockScale d_unit, BlockScale m_unit, int rounds) {
    Pair pairs[kSubs];
    for (int round = 0; round < rounds; ++round) {
      double total = 0.0;
      for (int j = 0; j < kSubs; ++j) {
        Pair start = round == 0
                         ? Pair{to_steps(fit_[j].scale, d_unit.value), to_steps(-fit_[j].offset, m_unit.value), 0}
                         : pairs[j];
        start.error = error_at(j, d_unit.value, m_unit.value, start.scale, start.min);
        pairs[j] = walk(j, d_unit.value, m_unit.value, start, round == 0 ? 2 : 1);
        total += static_cast<double>(pairs[j].error);
      }
      if (total >= best_error_) {
        if (round > 0) break;
      } else {
        best_error_ = total;
        d = d_unit.bits;
        dmin = m_unit.bits;
        for (int j = 0; j < kSubs; ++j) {
          scale[j] = static_cast<uint8_t>(pairs[j].scale);
          min[j] = static_cast<uint8_t>(pairs[j].min);
        }
      }
      const uint16_t old_d = d_unit.bits, old_m = m_unit.bits;
      refit(pairs, &d_unit, &m_unit);
      if (d_unit.bits == old_d && m_unit.bits == old_m) break;
    }
  }

  // The d and dmin that minimise the squared error for the codes of the given pairs (normal equations in double).
  void refit(const Pair* pairs, BlockScale* d_unit, BlockScale* m_unit) const {
    double dd = 0, dm = 0, mm = 0, xd = 0, xm = 0;
    for (int j = 0; j < kSubs; ++j) {
      const float* x = x_ + j * N;
      const float s = d_unit->value * static_cast<float>(pairs[j].scale);
      const float offset = -(m_unit->value * static_cast<float>(pairs[j].min));
      const AffineSums sums = affine_sums<kTop, N>(x, inverse_or_zero(s), offset);
      const double a = pairs[j].scale, b = -pairs[j].min;
      dd += a * a * static_cast<double>(sums.qq);
      dm += a * b * static_cast<double>(sums.q);
      mm += b * b * N;
      xd += a * static_cast<double>(sums.xq);
      xm += b * sum_of<N>(x);
    }
    const double det = dd * mm - dm * dm;
    double new_d = dd > 0 ? xd / dd : 0.0, new_m = 0.0;
    if (mm > 0 && det > 1e-9 * dd * mm) {
      new_d = (xd * mm - xm * dm) / det;
      new_m = (xm * dd - xd * dm) / det;
    } else if (mm > 0 && dd == 0) {
      new_m = xm / mm;
    } else if (mm > 0) {
      return;  // collinear: keep the units we have
    }
    if (!(new_d >= 0.0) || !(new_m >= 0.0)) return;
    *d_unit = nearest_scale(static_cast<float>(new_d), exponent_);
    *m_unit = nearest_scale(static_cast<float>(new_m), exponent_);
  }

  void write_best() {
    const float d_unit = scale_from_bits(d, exponent_).value, m_unit = scale_from_bits(dmin, exponent_).value;
    float q[N];
    for (int j = 0; j < kSubs; ++j) {
      affine_codes<kTop, N>(x_ + j * N, d_unit * static_cast<float>(scale[j]), -(m_unit * static_cast<float>(min[j])),
                            q);
      for (int i = 0; i < N; ++i) codes[j * N + i] = static_cast<uint8_t>(q[i]);
    }
  }

  alignas(16) float x_[kSubs * N];
  AffineFit fit_[kSubs];
  double best_error_ = HUGE_VAL;
  int exponent_ = 0;
};

}  // namespace bantam::quant
