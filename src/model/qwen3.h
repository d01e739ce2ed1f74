// The forward of Qwen3 and Qwen2.5: tokens in, logits out. Called by engine, train and tests.
#pragma once

#include "model/batch.h"
#include "model/saved.h"
#include "model/weights.h"
#include "model/workspace.h"

namespace bantam::model {

// Runs one step: writes the keys and values of its tokens into batch.kv and the logits of batch.logit_rows into
// `logits` [R, V] f32 (R == logit_rows.size(); with R == 0 no logits are computed). `saved` may be null. Allocates
// nothing; the same tokens give the same bits whatever else is in the batch.
// REQUIRES: token ids below V; sizes within ws.limits; segments, positions and pages consistent (kernels::Segment).
void forward(const Weights& weights, const Batch& batch, Workspace& ws, Saved* saved, TensorView logits);

}  // namespace bantam::model
