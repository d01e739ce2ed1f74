// EmbeddingPool: mean and last, and that pieces and repetitions do not show.
#include "engine/embedding_pool.h"

#include <gtest/gtest.h>

#include <cmath>

namespace bantam::engine {
namespace {

const std::vector<float> kStates = {3, 0, 0, 4, 6, 4, 0, 0.1f};  // four tokens of two numbers

TEST(EmbeddingPool, MeanAndLastOfLengthOne) {
  EmbeddingPool mean(Pooling::kMean, 2);
  mean.add(0, std::span(kStates).first(6));
  EXPECT_EQ(mean.finish(),
            (std::vector<float>{static_cast<float>(9 / std::sqrt(145.0)), static_cast<float>(8 / std::sqrt(145.0))}));
  EmbeddingPool last(Pooling::kLast, 2);
  last.add(0, kStates);
  EXPECT_EQ(last.finish(), (std::vector<float>{0, 1}));
}

TEST(EmbeddingPool, PiecesDoNotShow) {
  for (const Pooling pooling : {Pooling::kMean, Pooling::kLast}) {
    EmbeddingPool whole(pooling, 2), pieces(pooling, 2);
    whole.add(0, kStates);
    pieces.add(0, std::span(kStates).first(4));
    pieces.add(0, std::span(kStates).first(6));  // read again after it had given its pages up
    pieces.add(3, std::span(kStates).last(2));
    EXPECT_EQ(pieces.finish(), whole.finish());
  }
}

TEST(EmbeddingPool, ZerosStayZeros) {
  EmbeddingPool pool(Pooling::kMean, 2);
  pool.add(0, std::vector<float>{1, -1, -1, 1});
  EXPECT_EQ(pool.finish(), (std::vector<float>{0, 0}));
}

}  // namespace
}  // namespace bantam::engine
