// Norms, rotation, activations and the key-value store with AVX-512: the text of generic/rows.inl.h over 512-bit
// registers.
#include <immintrin.h>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/row_kernels.h"
#include "tensor/bf16.h"

// GCC 12 takes the deliberately undefined sources of its own AVX-512 intrinsics for mistakes (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")

namespace bantam::kernels {
namespace {

// Each builds on the one before.
// clang-format off
#include "kernels/cpu/generic/vec_avx512.inl.h"
#include "kernels/cpu/generic/exp.inl.h"
#include "kernels/cpu/generic/rows.inl.h"
// clang-format on

}  // namespace

void fill_rows_avx512(RowKernels& rows) {
  fill_rows(rows);
}

}  // namespace bantam::kernels

#pragma GCC pop_options
