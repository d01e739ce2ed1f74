// See embedding_pool.h.
#include "engine/embedding_pool.h"

#include <cmath>

namespace bantam::engine {

void EmbeddingPool::add(int64_t start, std::span<const float> states) {
  const size_t hidden = sum_.size();
  const auto n = static_cast<int64_t>(states.size() / hidden);
  for (int64_t i = 0; i < n; ++i) {
    if (start + i < next_) continue;
    next_ = start + i + 1;
    const float* state = states.data() + static_cast<size_t>(i) * hidden;
    for (size_t d = 0; d < hidden; ++d) {
      sum_[d] = (pooling_ == Pooling::kMean ? sum_[d] : 0.0) + static_cast<double>(state[d]);
    }
  }
}

std::vector<float> EmbeddingPool::finish() const {
  double squares = 0;
  for (const double x : sum_) squares += x * x;
  // The mean's divisor goes with the length.
  const double scale = squares > 0 ? 1.0 / std::sqrt(squares) : 0.0;
  std::vector<float> out;
  out.reserve(sum_.size());
  for (const double x : sum_) out.push_back(static_cast<float>(x * scale));
  return out;
}

}  // namespace bantam::engine
