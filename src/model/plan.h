// What a model will need, before anything is allocated. Called by cli (`plan`, and before loading) and engine.
#pragma once

#include <cstdint>

#include "model/bind.h"
#include "model/workspace.h"
#include "ops/ops.h"

namespace bantam::model {

struct Plan {
  int64_t weights_bytes = 0;    // packed; what Weights::storage will hold
  int64_t kv_bytes = 0;         // pages of `context` positions in all layers
  int64_t workspace_bytes = 0;  // activations and kernel scratch
  int64_t total_bytes = 0;
  int64_t kv_token_bytes = 0;  // per position
};

// Shape of one page of this model's cache.
kernels::KvLayout kv_layout(const Config& config, DType kv_dtype);
// Usage error when pages of this type do not exist for this model's heads.
Status check_kv_type(const Config& config, DType kv_dtype);
// Bytes of whole pages for `context` positions of one sequence.
int64_t kv_bytes(const Config& config, DType kv_dtype, int64_t context);

// limits.max_pos is the context of one sequence; `sequences` of them have pages of their own.
Plan make_plan(const Binding& binding, DType kv_dtype, const StepLimits& limits, int threads, int64_t sequences = 1);
// For a model that does not exist yet: all matrices in `type` (where its blocks fit, else f16), vectors in f32.
Plan make_plan(const Config& config, DType type, DType kv_dtype, const StepLimits& limits, int threads,
               int64_t sequences = 1);
// The longest context, in whole pages and at most max_context(config), whose plan fits into available_bytes;
// 0 when not even one page does.
int64_t context_that_fits(const Binding& binding, DType kv_dtype, StepLimits limits, int threads,
                          int64_t available_bytes);

}  // namespace bantam::model
