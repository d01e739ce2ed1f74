// Looks inside a forward: hidden states and attention maps, as the reference returns them. A Saved for researchers
// (`bantam forward --hidden --attention`) and tests; allocates its own buffers, so it is not for serving.
#pragma once

#include <cstdint>
#include <vector>

#include "model/config.h"
#include "model/qwen3.h"

namespace bantam::model {

struct ProbeWish {
  bool hidden = false;
  std::vector<int64_t> attention_layers;  // each below L
};

class Probe final : public Saved {
 public:
  // For steps of at most max_tok tokens. REQUIRES: attention_layers below L.
  Probe(const Config& config, ProbeWish wish, int64_t max_tok);

  // Call after each forward: the last hidden state is the one after the final norm, of all tokens, not only of
  // those whose logits were asked for.
  void finish(const Weights& weights, Workspace& ws);

  // Entry i of output_hidden_states, 0 <= i <= L: the embeddings, the outputs of layers 1 .. L-1, and last the final
  // norm of layer L's output. [T, D] of the last step's T tokens.
  TensorView hidden(int64_t i) const;
  // Attention probabilities of segment s of the last step, [Hq, length, start_pos + length] row-major; zeros above the
  // diagonal. REQUIRES: the layer was asked for. Segments with a parent are not supported.
  const std::vector<float>& attention(int64_t layer, int64_t segment) const;

  TensorView keep(Slot slot, int64_t layer, TensorView scratch) override;
  void attended(ops::Context& ctx, int64_t layer, TensorView qkv, ops::HeadShape heads, const Batch& batch,
                float scale) override;

 private:
  TensorView state(int64_t i) const;

  int64_t layers_, hidden_size_, max_tok_, tokens_ = 0;
  ProbeWish wish_;
  std::vector<float> states_;                          // [L + 1, max_tok, D] when wish_.hidden
  std::vector<float> mid_;                             // [max_tok, D]: between attention and MLP
  std::vector<std::vector<std::vector<float>>> maps_;  // [wished layer][segment]
};

}  // namespace bantam::model
