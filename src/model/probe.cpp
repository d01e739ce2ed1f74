// Order of hidden states: transformers' output_hidden_states (utils/output_capturing.py) records each layer's input
// and then the final norm's output, which replaces the last layer's own.
#include "model/probe.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace bantam::model {

Probe::Probe(const Config& config, ProbeWish wish, int64_t max_tok)
    : layers_(config.num_hidden_layers), hidden_size_(config.hidden_size), max_tok_(max_tok), wish_(std::move(wish)) {
  if (wish_.hidden) {
    states_.resize(static_cast<size_t>((layers_ + 1) * max_tok_ * hidden_size_));
    mid_.resize(static_cast<size_t>(max_tok_ * hidden_size_));
  }
  for (const int64_t layer : wish_.attention_layers) BANTAM_CHECK(layer >= 0 && layer < layers_);
  maps_.resize(wish_.attention_layers.size());
}

TensorView Probe::state(int64_t i) const {
  return {const_cast<float*>(states_.data()) + i * max_tok_ * hidden_size_, DType::kF32, Shape{tokens_, hidden_size_}};
}

TensorView Probe::keep(Slot slot, int64_t layer, TensorView scratch) {
  if (slot == Slot::kXIn) {
    tokens_ = scratch.shape[0];
    BANTAM_CHECK(tokens_ <= max_tok_);
  }
  if (!wish_.hidden) return scratch;
  switch (slot) {
    case Slot::kXIn:
      return state(0);
    case Slot::kXMid:
      return {mid_.data(), DType::kF32, scratch.shape};
    case Slot::kXOut:
      return state(layer + 1);
    default:
      return scratch;
  }
}

void Probe::attended(ops::Context& ctx, int64_t layer, TensorView qkv, ops::HeadShape heads, const Batch& batch,
                     float scale) {
  for (size_t i = 0; i < wish_.attention_layers.size(); ++i) {
    if (wish_.attention_layers[i] != layer) continue;
    maps_[i].assign(batch.segments.size(), {});
    for (size_t s = 0; s < batch.segments.size(); ++s) {
      const kernels::Segment& segment = batch.segments[s];
      const int64_t keys = int64_t{segment.start_pos} + segment.length;
      maps_[i][s].resize(static_cast<size_t>(heads.q_heads * segment.length * keys));
      ops::attention_probs(ctx, qkv, heads, batch.kv, layer, segment, scale, maps_[i][s].data());
    }
  }
}

void Probe::finish(const Weights& weights, Workspace& ws) {
  if (!wish_.hidden || tokens_ == 0) return;
  const TensorView last = state(layers_);
  ops::rms_norm(ws.ctx, last, weights.final_norm, static_cast<float>(weights.config.rms_norm_eps), last);
}

TensorView Probe::hidden(int64_t i) const {
  BANTAM_CHECK(wish_.hidden && i >= 0 && i <= layers_);
  return state(i);
}

const std::vector<float>& Probe::attention(int64_t layer, int64_t segment) const {
  const auto at = std::find(wish_.attention_layers.begin(), wish_.attention_layers.end(), layer);
  BANTAM_CHECK(at != wish_.attention_layers.end());
  return maps_[static_cast<size_t>(at - wish_.attention_layers.begin())].at(static_cast<size_t>(segment));
}

}  // namespace bantam::model
