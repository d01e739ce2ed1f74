// The accuracy oracle of linear kernels: plain double sums over the source's own decoding. Called by tests and benches.
// The fixed orders that tables must follow bit for bit are stated in linear_kernels.h and written out in
// cpu/linear_generic.cpp; this file only says what the right answer is. Pure; thread-safe.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace bantam::kernels::ref {

// out[m, n] = sum over k of x[m, k] * w[n, k] in double. source: row-major blocks of the file's layout [N, K];
// f8_scales [ceil(N/128), ceil(K/128)] or null. `magnitude` (or null) [M, N] receives the sum of |x w|: the scale
// against which rounding errors of any order are measured.
void linear(DType dtype, const uint8_t* source, const float* f8_scales, int64_t rows, int64_t cols, const float* x,
            int64_t m, double* out, double* magnitude);

}  // namespace bantam::kernels::ref
