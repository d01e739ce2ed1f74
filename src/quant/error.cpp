// Error measures; see error.h.
#include "quant/error.h"

#include <algorithm>
#include <cmath>

namespace bantam::quant {

void ErrorMeter::add(const float* a, const float* b, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    if (a[i] == b[i] && std::isinf(a[i])) {  // the same infinity: no error, and no finite size either
      ++count_;
      continue;
    }
    const double source = static_cast<double>(a[i]), error = source - static_cast<double>(b[i]);
    if (!std::isfinite(error)) {
      if (!(std::isnan(a[i]) && std::isnan(b[i]))) ++bad_;
      continue;
    }
    ++count_;
    square_error_ += error * error;
    square_source_ += source * source;
    max_abs_ = std::max(max_abs_, std::abs(error));
  }
}

void ErrorMeter::merge(const ErrorMeter& other) {
  count_ += other.count_;
  bad_ += other.bad_;
  square_error_ += other.square_error_;
  square_source_ += other.square_source_;
  max_abs_ = std::max(max_abs_, other.max_abs_);
}

double ErrorMeter::rmse() const {
  return count_ == 0 ? 0.0 : std::sqrt(square_error_ / static_cast<double>(count_));
}

double ErrorMeter::relative() const {
  return square_error_ == 0.0 ? 0.0 : std::sqrt(square_error_ / square_source_);
}

namespace {
ErrorMeter measure(const float* a, const float* b, int64_t n) {
  ErrorMeter meter;
  meter.add(a, b, n);
  return meter;
}
}  // namespace

double rmse(const float* a, const float* b, int64_t n) {
  return measure(a, b, n).rmse();
}
double max_abs_error(const float* a, const float* b, int64_t n) {
  return measure(a, b, n).max_abs();
}
double relative_error(const float* a, const float* b, int64_t n) {
  return measure(a, b, n).relative();
}

}  // namespace bantam::quant
