// EmbeddingPool: one vector from the hidden states of a text's tokens: their mean or the last one, scaled to length 1.
// Takes the states in order of position, in pieces of any size: sums are in double and in that order, so the pieces
// never show. Owned by BatchGenerator, one object per text.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace bantam::engine {

enum class Pooling : uint8_t { kMean, kLast };

class EmbeddingPool {
 public:
  // hidden: numbers per state.
  EmbeddingPool(Pooling pooling, int64_t hidden) : pooling_(pooling), sum_(static_cast<size_t>(hidden), 0.0) {}

  // The states of the tokens at positions from `start` on, [n, hidden]. Positions that were taken before are skipped.
  void add(int64_t start, std::span<const float> states);
  // The vector. REQUIRES: at least one state.
  std::vector<float> finish() const;

 private:
  Pooling pooling_;
  int64_t next_ = 0;  // position
  std::vector<double> sum_;
};

}  // namespace bantam::engine
