// One step's work, whatever it is made of: prefill, decode, many users, packed rows, draft trees. Tokens of all
// segments lie one after another; each segment says where its keys live. A view: whoever builds it (engine, tests)
// owns the arrays and the pages.
#pragma once

#include <cstdint>
#include <span>

#include "model/rope.h"
#include "ops/ops.h"

namespace bantam::model {

struct Batch {
  std::span<const int32_t> tokens;             // [T], each 0 <= id < V
  std::span<const int32_t> positions;          // [T]
  std::span<const kernels::Segment> segments;  // cover tokens in order
  kernels::KvView kv;                          // pages of all layers; this step's keys and values go there
  std::span<const int32_t> logit_rows;         // [R], tokens whose logits are wanted, ascending
  const Rope* rope = nullptr;
};

}  // namespace bantam::model
