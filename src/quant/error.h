// How far a quantised tensor is from its source: rmse, largest error, error relative to the source's own size.
// Called by the quantize command and the tests. An ErrorMeter is not shared between threads; merge() joins several.
#pragma once

#include <cstdint>

namespace bantam::quant {

// Accumulates over as many chunks of one tensor as the caller streams through it, in double.
class ErrorMeter {
 public:
  // a: the source, b: what the quantised form decodes to; n elements each. Elements whose difference is not finite
  // (NaN or infinity on one side only) are counted in bad() and left out of the sums.
  void add(const float* a, const float* b, int64_t n);
  void merge(const ErrorMeter& other);

  int64_t count() const { return count_; }
  int64_t bad() const { return bad_; }
  double rmse() const;  // sqrt(mean (a - b)^2), 0 when nothing was added
  double max_abs() const { return max_abs_; }
  double relative() const;  // sqrt(sum (a - b)^2 / sum a^2); 0 when a and b are both all zero

 private:
  int64_t count_ = 0, bad_ = 0;
  double square_error_ = 0.0, square_source_ = 0.0, max_abs_ = 0.0;
};

double rmse(const float* a, const float* b, int64_t n);
double max_abs_error(const float* a, const float* b, int64_t n);
double relative_error(const float* a, const float* b, int64_t n);

}  // namespace bantam::quant
