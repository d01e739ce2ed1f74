// Attention with AVX-512: the text of generic/attention.inl.h over 512-bit registers.
// Register budget of 32: R x 4 sums take at most 24, keys 4, one broadcast.
#include <immintrin.h>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/kv_codes.h"
#include "kernels/row_kernels.h"
#include "tensor/bf16.h"

// GCC 12 takes the deliberately undefined sources of its own AVX-512 intrinsics for mistakes (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")

namespace bantam::kernels {
namespace {

// Each builds on the one before.
// clang-format off
#include "kernels/cpu/generic/vec_avx512.inl.h"
#include "kernels/cpu/generic/exp.inl.h"
#include "kernels/cpu/generic/codes_avx512.inl.h"
// clang-format on

// Vecs per tile row, so that enough sums are in flight to hide the latency of an FMA.
constexpr int tile_vecs(int /*rows*/) {
  return 4;
}

// The same for int8 scores, whose tiles hold an int32 and a float sum.
constexpr int coded_score_vecs(int rows) {
  return rows <= 3 ? 4 : 2;
}

// clang-format off
#include "kernels/cpu/generic/attention.inl.h"
#include "kernels/cpu/generic/attention_coded_page.inl.h"
#include "kernels/cpu/generic/attention_codes.inl.h"
#include "kernels/cpu/generic/attention_table.inl.h"
// clang-format on

}  // namespace

void fill_attention_avx512(RowKernels& rows) {
  fill_attention(rows);
}

}  // namespace bantam::kernels

#pragma GCC pop_options
