// Reading a page's keys and values back as fp32, whatever its type: exact, slow, in plain order. Called by attention
// (`exact` over quantised pages), attention maps and tests. Pure functions; thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kv_layout.h"

namespace bantam::kernels {

// Key or value of dimension d in `slot` of one head's run (kv_layout.h). q8_0 and q4_0: code * scale, which fp32 holds
// exactly. REQUIRES: kv_supports(dtype, head_dim).
float kv_key(DType dtype, int64_t head_dim, const std::byte* head, int64_t slot, int64_t d);
float kv_value(DType dtype, int64_t head_dim, const std::byte* head, int64_t slot, int64_t d);

// A whole run of q8_0 or q4_0: keys [Dh, 64], values [64, Dh].
void kv_decode(DType dtype, int64_t head_dim, const std::byte* head, float* keys, float* values);

}  // namespace bantam::kernels
