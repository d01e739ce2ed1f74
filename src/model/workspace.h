// Every buffer a forward writes, allocated once from (config, limits): a step allocates nothing. Owned by whoever runs
// the model (engine, tests); one forward at a time uses it. Move-only.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/thread_pool.h"
#include "model/config.h"
#include "ops/ops.h"
#include "tensor/storage.h"
#include "tensor/view.h"

namespace bantam::model {

// The largest step a workspace serves.
struct StepLimits {
  int64_t max_tok = 512;        // tokens in a batch
  int64_t max_logit_rows = 64;  // logit rows in a batch
  int64_t max_pos = 0;          // positions of any sequence, i.e. the context
};

// Bytes Workspace::create will allocate, without allocating.
int64_t workspace_bytes(const Config& config, const StepLimits& limits, int threads);

struct Workspace {
  // `table` and `pool` outlive the workspace. Error: not enough memory.
  static Result<Workspace> create(const Config& config, const StepLimits& limits, const kernels::Table& table,
                                  ThreadPool& pool, ops::Numerics numerics);

  ops::Context ctx;
  StepLimits limits;
  TensorView x;        // [T, D]    the residual stream
  TensorView h;        // [T, D]    its normed copy
  TensorView qkv;      // [T, (Hq + 2 Hkv) Dh]
  TensorView cos_sin;  // [T, Dh]
  TensorView attn;     // [T, Hq Dh]
  TensorView gate_up;  // [T, 2 F]  a shape without memory: whole only where somebody keeps it (saved.h)
  TensorView act;      // [T, F]
  TensorView x_rows;   // [R, D]    rows of x whose logits are wanted
  TensorView logits;   // [R, V]    for callers of forward() that have no better place
  Storage storage;     // all of the above and ctx.scratch
};

}  // namespace bantam::model
