// Attention on any CPU: the text of generic/attention.inl.h over arrays of 16 floats.
// The slow table: it exists to say what the bits are.
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/kv_codes.h"
#include "kernels/row_kernels.h"
#include "tensor/bf16.h"

namespace bantam::kernels {
namespace {

// Each builds on the one before.
// clang-format off
#include "kernels/cpu/generic/vec_generic.inl.h"
#include "kernels/cpu/generic/exp.inl.h"
#include "kernels/cpu/generic/codes_generic.inl.h"
// clang-format on

// Vecs per tile row, so that enough sums are in flight to hide the latency of an FMA.
constexpr int tile_vecs(int /*rows*/) {
  return 1;
}

// The same for int8 scores, whose tiles hold an int32 and a float sum.
constexpr int coded_score_vecs(int /*rows*/) {
  return 1;
}

// clang-format off
#include "kernels/cpu/generic/attention.inl.h"
#include "kernels/cpu/generic/attention_coded_page.inl.h"
#include "kernels/cpu/generic/attention_codes.inl.h"
#include "kernels/cpu/generic/attention_table.inl.h"
// clang-format on

}  // namespace

void fill_attention_generic(RowKernels& rows) {
  fill_attention(rows);
}

}  // namespace bantam::kernels
