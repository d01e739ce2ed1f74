// Norms, rotation, activations and the key-value store on any CPU: the text of generic/rows.inl.h over arrays of 16
// floats.
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/row_kernels.h"
#include "tensor/bf16.h"

namespace bantam::kernels {
namespace {

// Each builds on the one before.
// clang-format off
#include "kernels/cpu/generic/vec_generic.inl.h"
#include "kernels/cpu/generic/exp.inl.h"
#include "kernels/cpu/generic/rows.inl.h"
// clang-format on

}  // namespace

void fill_rows_generic(RowKernels& rows) {
  fill_rows(rows);
}

}  // namespace bantam::kernels
