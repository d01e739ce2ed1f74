// The hook that makes one forward serve everybody: each buffer of qwen3.cpp has a slot, and keep() asks whoever
// listens where that buffer should live. Serving passes null and everything stays in the workspace; training keeps
// what the backward needs; a Probe (probe.h) keeps what a researcher asked for. Same code, same kernels, same bits.
#pragma once

#include <cstdint>

#include "model/batch.h"
#include "ops/ops.h"
#include "tensor/view.h"

namespace bantam::model {

enum class Slot : uint8_t {
  kXIn,      // [T, D]                 embeddings; layer 0
  kAttnIn,   // [T, D]                 normed input of attention
  kQkv,      // [T, (Hq + 2 Hkv) Dh]   projections
  kQkvRot,   // [T, (Hq + 2 Hkv) Dh]   normed and rotated; scratch is kQkv's own buffer (in place)
  kAttnOut,  // [T, Hq Dh]             heads' outputs
  kXMid,     // [T, D]                 residual stream after attention; scratch is its input (in place)
  kMlpIn,    // [T, D]                 normed input of the MLP
  kGateUp,   // [T, 2 F]               scratch has no memory: not whole when serving
  kXOut,     // [T, D]                 residual stream after the layer; scratch is its input (in place)
  kFinalIn,  // [R, D]                 rows whose logits are wanted, before the final norm; layer 0
};

class Saved {
 public:
  virtual ~Saved() = default;
  // Where the slot's buffer of this layer lives: `scratch` itself, or a buffer of the same shape that does not alias
  // any other live one.
  virtual TensorView keep(Slot slot, int64_t layer, TensorView scratch) = 0;
  // After attention of a layer: qkv as kQkvRot, its keys already in batch.kv.
  virtual void attended(ops::Context& ctx, int64_t layer, TensorView qkv, ops::HeadShape heads, const Batch& batch,
                        float scale) = 0;
};

inline TensorView keep(Saved* saved, Slot slot, int64_t layer, TensorView scratch) {
  return saved == nullptr ? scratch : saved->keep(slot, layer, scratch);
}

}  // namespace bantam::model
