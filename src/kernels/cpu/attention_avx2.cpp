// Attention with AVX2, FMA and F16C: the text of generic/attention.inl.h over register pairs.
// Register budget of 16: R x N Vecs of sums take at most 12, keys 2, one broadcast.
#include <immintrin.h>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/kv_codes.h"
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
#include "kernels/cpu/generic/codes_avx2.inl.h"
// clang-format on

// Vecs per tile row, so that enough sums are in flight to hide the latency of an FMA.
constexpr int tile_vecs(int rows) {
  return rows == 1 ? 4 : rows <= 3 ? 2 : 1;
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

void fill_attention_avx2(RowKernels& rows) {
  fill_attention(rows);
}

}  // namespace bantam::kernels

#pragma GCC pop_options
