// What the attention ops (kv_store, attention, attention_probs) check and compute alike. Private to ops.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "ops/ops.h"

namespace bantam::ops {

// The checks every attention op makes on its common arguments; ids of the pages of every position are in range.
inline void check_attention(const TensorView& qkv, HeadShape heads, const kernels::KvView& kv, int64_t layer,
                            std::span<const kernels::Segment> segments) {
  const kernels::KvLayout& layout = kv.layout;
  BANTAM_CHECK(qkv.valid() && qkv.dtype == DType::kF32 && qkv.shape.rank == 2);
  BANTAM_CHECK(qkv.shape[1] == (heads.q_heads + 2 * heads.kv_heads) * heads.head_dim);
  BANTAM_CHECK(heads.kv_heads > 0 && heads.q_heads % heads.kv_heads == 0);
  BANTAM_CHECK(heads.head_dim > 0 && heads.head_dim % 16 == 0 && heads.head_dim <= kernels::kMaxHeadDim);
  BANTAM_CHECK(layout.kv_heads == heads.kv_heads && layout.head_dim == heads.head_dim);
  BANTAM_CHECK(kernels::kv_supports(layout.dtype, layout.head_dim));
  BANTAM_CHECK(kv.base != nullptr && layer >= 0 && layer < layout.layers);
  for (size_t i = 0; i < segments.size(); ++i) {
    const kernels::Segment& s = segments[i];
    BANTAM_CHECK(s.first_token >= 0 && s.length >= 0 && s.start_pos >= 0 && s.page_begin >= 0);
    BANTAM_CHECK(int64_t{s.first_token} + s.length <= qkv.shape[0]);
    BANTAM_CHECK(s.parent >= -1 && s.parent < static_cast<int64_t>(i));
    const int64_t pages = (int64_t{s.start_pos} + s.length + kernels::kPageTok - 1) / kernels::kPageTok;
    BANTAM_CHECK(s.page_begin + pages <= static_cast<int64_t>(kv.page_table.size()));
    for (int32_t id : kv.page_table.subspan(static_cast<size_t>(s.page_begin), static_cast<size_t>(pages))) {
      BANTAM_CHECK(id >= 0 && id < kv.pages);
    }
  }
}

}  // namespace bantam::ops
