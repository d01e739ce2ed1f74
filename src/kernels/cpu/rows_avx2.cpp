// Norms, rotation, activations and the key-value store with AVX2, FMA and F16C: the text of generic/rows.inl.h over
// register pairs.
#include <immintrin.h>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/row_kernels.h"
#include "tensor/bf16.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")

namespace bantam::kernels {
namespace {

// Each builds on the one before.
// clang-format off
#include "kernels/cpu/generic/vec_avx2.inl.h"
#include "kernels/cpu/generic/exp.inl.h"
#include "kernels/cpu/generic/rows.inl.h"
// clang-format on

}  // namespace

void fill_rows_avx2(RowKernels& rows) {
  fill_rows(rows);
}

}  // namespace bantam::kernels

#pragma GCC pop_options
