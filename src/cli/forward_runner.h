// The work of `bantam forward`: sequences of ids through the network, their logits, hidden states and attention maps
// collected. One thread drives it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/runner.h"
#include "formats/tensor_writer.h"
#include "model/probe.h"

namespace bantam::cli {

// What to compute and in which steps. The results never depend on chunk, batch and decode.
struct ForwardWish {
  bool last = false, hidden = false;
  std::vector<int64_t> attention;              // layers
  int64_t chunk = 512, batch = 1, decode = 0;  // tokens per chunk, sequences per step, last tokens fed one by one
};

struct Sequence {
  std::string name;
  std::vector<int32_t> ids;
  std::vector<float> logits;                  // [T or 1, V]; of a group's first sequence only what is not written yet
  std::vector<float> hidden;                  // [L + 1, T, D]
  std::vector<std::vector<float>> attention;  // per wished layer: [Hq, T, T]
};

// The tensors of all sequences, in the order in which they are written.
std::vector<formats::TensorPlan> tensors_of(const std::vector<Sequence>& sequences, const ForwardWish& wish,
                                            const model::Config& config);
// The most bytes of results that are in memory at once, over all groups of wish.batch sequences.
int64_t held_bytes(const std::vector<Sequence>& sequences, const ForwardWish& wish, const model::Config& config);

class ForwardRunner {
 public:
  ForwardRunner(EngineImpl& engine, const ForwardWish& wish, formats::TensorWriter& writer)
      : engine_(engine), wish_(wish), writer_(writer) {}

  // Computes the sequences of a group together and writes their tensors. The first one's logits are written chunk by
  // chunk, so that a long sequence alone needs little memory.
  Status run(std::span<Sequence> group);

 private:
  int64_t next_chunk(const Sequence& s, int64_t done) const;
  void reserve(Sequence& s) const;
  Status step(std::span<Sequence> group, const std::vector<EngineImpl::Part>& parts, const std::vector<size_t>& who,
              std::vector<int64_t>& done, model::Probe* probe);
  void collect(Sequence& s, const EngineImpl::Part& part, int64_t segment, int64_t first, int64_t start,
               const model::Probe* probe) const;
  Status write(std::span<Sequence> group);

  EngineImpl& engine_;
  const ForwardWish& wish_;
  formats::TensorWriter& writer_;
};

}  // namespace bantam::cli
