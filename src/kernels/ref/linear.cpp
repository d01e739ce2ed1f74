#include "kernels/ref/linear.h"

#include <cmath>
#include <vector>

#include "base/check.h"
#include "quant/format.h"

namespace bantam::kernels::ref {

void linear(DType dtype, const uint8_t* source, const float* f8_scales, int64_t rows, int64_t cols, const float* x,
            int64_t m, double* out, double* magnitude) {
  const quant::Format* format = quant::find_format(dtype);
  BANTAM_CHECK(format != nullptr);
  std::vector<float> w(static_cast<size_t>(cols));
  for (int64_t n = 0; n < rows; ++n) {
    format->decode(source + n * row_bytes(dtype, cols), w.data(), cols);
    if (f8_scales != nullptr) {
      const float* scales = f8_scales + n / 128 * ((cols + 127) / 128);
      for (int64_t k = 0; k < cols; ++k) w[static_cast<size_t>(k)] *= scales[k / 128];
    }
    for (int64_t i = 0; i < m; ++i) {
      double sum = 0, size = 0;
      for (int64_t k = 0; k < cols; ++k) {
        const double product = static_cast<double>(w[static_cast<size_t>(k)]) * static_cast<double>(x[i * cols + k]);
        sum += product;
        size += std::fabs(product);
      }
      out[i * rows + n] = sum;
      if (magnitude != nullptr) magnitude[i * rows + n] = size;
    }
  }
}

}  // namespace bantam::kernels::ref
