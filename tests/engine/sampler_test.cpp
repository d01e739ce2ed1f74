// The sampler: each option against a hand-computed expectation, determinism, masks, and the distribution it draws.
#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "base/exact_math.h"
#include "base/rng.h"

namespace bantam::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
const float kNan = std::nanf("");

Sampled sample(const std::vector<float>& logits, const TokenMask& mask, const SamplingOptions& options) {
  SamplerScratch scratch;
  return sample_token(logits, mask, options, {}, {}, 0, scratch);
}

int32_t pick(const std::vector<float>& logits, const SamplingOptions& options, int64_t position = 0,
             const std::vector<int32_t>& context = {}, const std::vector<int32_t>& generated = {},
             const TokenMask& mask = {}) {
  static SamplerScratch scratch;  // one for all: what an earlier call left must never show
  return sample_token(logits, mask, options, context, generated, position, scratch).id;
}

// Which ids come up over many positions, and how often.
std::map<int32_t, int> histogram(const std::vector<float>& logits, const SamplingOptions& options, int draws,
                                 const TokenMask& mask = {}) {
  std::map<int32_t, int> counts;
  for (int i = 0; i < draws; ++i) ++counts[pick(logits, options, i, {}, {}, mask)];
  return counts;
}

TEST(Sampler, GreedyTakesTheBestAndTiesGoToTheLowestId) {
  const SamplingOptions greedy{.temperature = 0};
  EXPECT_EQ(pick({1, 3, 2}, greedy), 1);
  EXPECT_EQ(pick({1, 3, 3, 3}, greedy), 1);
  EXPECT_EQ(pick({2, 2}, greedy), 0);
}

TEST(Sampler, NonFiniteLogitsAreImpossible) {
  const SamplingOptions greedy{.temperature = 0};
  EXPECT_EQ(pick({kNan, 1, kInfinity, 2}, greedy), 3);
  EXPECT_EQ(pick({-kInfinity, -5, kNan}, greedy), 1);
  EXPECT_EQ(pick({kNan, kNan}, greedy), 0) << "nothing possible: the lowest allowed id";
  EXPECT_EQ(sample({kNan, kNan, kNan}, {0, 0, 1}, greedy).id, 2);
  for (const auto& [id, count] : histogram({kNan, 0, 0, kInfinity}, {}, 200)) EXPECT_TRUE(id == 1 || id == 2);
}

TEST(Sampler, MaskedIdsNeverComeUp) {
  const TokenMask mask = {1, 0, 1, 0};
  EXPECT_EQ(pick({0, 9, 1, 8}, {.temperature = 0}, 0, {}, {}, mask), 2);
  for (const auto& [id, count] : histogram({0, 9, 1, 8}, {.temperature = 2}, 300, mask))
    EXPECT_TRUE(id == 0 || id == 2);
  const Sampled sampled = sample({0, 9, 1, 8}, mask, {.temperature = 0, .top_logprobs = 4});
  ASSERT_EQ(sampled.top.size(), 2u) << "masked ids are not offered as alternatives";
  EXPECT_EQ(sampled.top[0].id, 2);
  EXPECT_EQ(sampled.top[1].id, 0);
}

TEST(Sampler, TheDistributionIsTheSoftmax) {
  const std::vector<float> logits = {0.0f, 1.0f, 2.0f, -1.0f, 0.5f};
  for (const double temperature : {0.5, 1.0, 2.0}) {
    double total = 0;
    for (float l : logits) total += std::exp(static_cast<double>(l) / temperature);
    constexpr int kDraws = 40000;
    auto counts = histogram(logits, {.temperature = temperature, .seed = 3}, kDraws);
    double chi2 = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
      const double want = kDraws * std::exp(static_cast<double>(logits[i]) / temperature) / total;
      chi2 += (counts[static_cast<int32_t>(i)] - want) * (counts[static_cast<int32_t>(i)] - want) / want;
    }
    EXPECT_LT(chi2, 18.5) << "4 degrees of freedom, p = 0.001, temperature " << temperature;
  }
}

TEST(Sampler, TopKTopPMinP) {
  const std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.15f), std::log(0.05f)};
  const auto ids = [&](const SamplingOptions& options) { return histogram(logits, options, 2000).size(); };
  EXPECT_EQ(ids({}), 4u);
  EXPECT_EQ(ids({.top_k = 1}), 1u);
  EXPECT_EQ(ids({.top_k = 3}), 3u);
  EXPECT_EQ(ids({.top_k = 100}), 4u);
  EXPECT_EQ(ids({.top_p = 0.4}), 1u) << "the best token always stays";
  EXPECT_EQ(ids({.top_p = 0.79}), 2u);
  EXPECT_EQ(ids({.top_p = 0.9}), 3u);
  EXPECT_EQ(ids({.top_p = 0.0}), 1u);
  EXPECT_EQ(ids({.min_p = 0.5}), 2u) << "0.3 is above half of 0.5, 0.15 is not";
  EXPECT_EQ(ids({.min_p = 1.0}), 1u);
  // top-p counts within what top-k left: 0.5 / 0.8 = 0.625.
  EXPECT_EQ(ids({.top_k = 2, .top_p = 0.6}), 1u);
  EXPECT_EQ(ids({.top_k = 2, .top_p = 0.7}), 2u);
  // Ties at the edge of top-k go to the lower id.
  for (const auto& [id, count] : histogram({1, 1, 1, 1}, {.top_k = 2}, 200)) EXPECT_LT(id, 2);
}

TEST(Sampler, Penalties) {
  const SamplingOptions greedy{.temperature = 0};
  SamplingOptions o = greedy;
  o.presence_penalty = 1.5;
  EXPECT_EQ(pick({3, 2, 0}, o, 5, {0, 0, 0}, {0, 0, 0}), 1) << "once, however often it came";
  EXPECT_EQ(pick({4, 2, 0}, o, 5, {0, 0, 0}, {0, 0, 0}), 0);
  EXPECT_EQ(pick({3, 2, 0}, o, 5, {0, 0, 0}, {}), 0) << "the prompt does not count";
  o = greedy;
  o.frequency_penalty = 0.5;
  EXPECT_EQ(pick({3, 2, 0}, o, 5, {}, {0}), 0);
  EXPECT_EQ(pick({3, 2, 0}, o, 5, {}, {0, 0, 0}), 1);
  o = greedy;
  o.repetition_penalty = 2;
  EXPECT_EQ(pick({3, 2, 0}, o, 5, {0}, {}), 1) << "the prompt counts; positive logits are divided";
  EXPECT_EQ(pick({-1.0f, -1.5f}, o, 5, {0}, {}), 1) << "negative logits are multiplied";
  const std::vector<int32_t> often(1000, 0);
  EXPECT_EQ(pick({5, 2, 0}, o, 5, often, {}), 0) << "once, however often it came: 2.5 beats 2";
  EXPECT_EQ(pick({3, 2}, o, 0, {-1, 99, 0}, {-1, 99}), 1) << "ids out of range are ignored";
}

TEST(Sampler, LogitBias) {
  SamplingOptions o{.temperature = 0};
  o.logit_bias = {{2, 10.0f}, {99, 100.0f}, {-1, 100.0f}};
  EXPECT_EQ(pick({3, 2, 0}, o), 2);
  o.logit_bias = {{0, -kInfinity}};
  EXPECT_EQ(pick({3, 2, 0}, o), 1) << "minus infinity bans";
}

TEST(Sampler, DrawsAreKeyedBySeedChoiceAndPosition) {
  const std::vector<float> logits(64, 0.0f);
  const auto stream = [&](uint64_t seed, uint64_t choice) {
    std::vector<int32_t> ids;
    for (int64_t position = 0; position < 50; ++position)
      ids.push_back(pick(logits, {.seed = seed, .choice = choice}, position));
    return ids;
  };
  EXPECT_EQ(stream(7, 0), stream(7, 0));
  EXPECT_NE(stream(7, 0), stream(8, 0));
  EXPECT_NE(stream(7, 0), stream(7, 1));
  // The draw at a position does not depend on the draws before it.
  EXPECT_EQ(pick(logits, {.seed = 7}, 31), stream(7, 0)[31]);
}

TEST(Sampler, LogprobsAreOfTheModelsOwnDistribution) {
  const std::vector<float> logits = {1, 2, 3};
  const double log_sum = std::log(std::exp(1.0) + std::exp(2.0) + std::exp(3.0));
  SamplingOptions o{.temperature = 0, .top_logprobs = 2};
  o.logit_bias = {{0, 50.0f}};
  const Sampled sampled = sample(logits, {}, o);
  EXPECT_EQ(sampled.id, 0);
  EXPECT_NEAR(sampled.logprob, 1 - log_sum, 1e-12) << "no bias, no temperature";
  ASSERT_EQ(sampled.top.size(), 2u);
  EXPECT_EQ(sampled.top[0].id, 2);
  EXPECT_NEAR(sampled.top[0].logprob, 3 - log_sum, 1e-12);
  EXPECT_EQ(sampled.top[1].id, 1);
  o.top_logprobs = 0;
  EXPECT_TRUE(sample(logits, {}, o).top.empty());
  EXPECT_NEAR(log_sum_exp(std::vector<float>{1000, 1000}), 1000 + std::log(2.0), 1e-9);
}

// The definition of a draw with top-k off: everything sorted, everything added up in that order.
int32_t sorted_pick(const std::vector<float>& logits, const SamplingOptions& o, int64_t position) {
  std::vector<std::pair<double, int32_t>> list;
  for (size_t id = 0; id < logits.size(); ++id) {
    if (std::isfinite(logits[id])) list.emplace_back(-static_cast<double>(logits[id]), static_cast<int32_t>(id));
  }
  std::sort(list.begin(), list.end());
  std::vector<double> weights;
  double total = 0, cumulative = 0, kept_total = 0;
  for (const auto& [minus, id] : list) weights.push_back(exact_exp((-minus + list[0].first) / o.temperature));
  for (double w : weights) total += w;
  size_t kept = 0;
  do cumulative += weights[kept++];
  while (kept < list.size() && !(o.top_p < 1.0 && cumulative >= o.top_p * total));
  while (o.min_p > 0 && kept > 1 && weights[kept - 1] < o.min_p * weights[0]) --kept;
  for (size_t i = 0; i < kept; ++i) kept_total += weights[i];
  double rest = uniform_at(o.seed, o.choice, static_cast<uint64_t>(position)) * kept_total;
  for (size_t i = 0; i + 1 < kept; ++i) {
    if (rest < weights[i]) return list[i].second;
    rest -= weights[i];
  }
  return list[kept - 1].second;
}

// Peaked, wide and flat rows, with ties and impossible tokens: a few best candidates decide, or 2048, or all of them.
TEST(Sampler, WithoutTopKEqualsTheFullSort) {
  constexpr size_t kRows = 5000;
  uint64_t state = 1;
  const auto noise = [&state] {  // about normal
    double sum = 0;
    for (int i = 0; i < 12; ++i) {
      state = state * 6364136223846793005ull + 1442695040888963407ull;
      sum += static_cast<double>(state >> 11) * 0x1p-53;
    }
    return sum - 6;
  };
  for (const double spread : {0.0, 0.05, 1.0, 4.0, 30.0}) {
    for (const double grain : {0.0, 0.25}) {  // rounded logits tie
      std::vector<float> logits(kRows);
      for (float& l : logits) {
        const double value = spread * noise();
        l = static_cast<float>(grain > 0 ? std::round(value / grain) * grain : value);
      }
      logits[7] = kNan;
      logits[8] = -kInfinity;
      for (SamplingOptions o : {SamplingOptions{}, SamplingOptions{.temperature = 0.6, .top_p = 0.95},
                                SamplingOptions{.temperature = 3, .top_p = 0.999}, SamplingOptions{.min_p = 0.05},
                                SamplingOptions{.temperature = 2, .top_p = 0.9, .min_p = 1e-4},
                                SamplingOptions{.temperature = 1e-3}, SamplingOptions{.top_p = 0.0}}) {
        o.top_k = 0;
        for (int64_t position = 0; position < 12; ++position) {
          o.seed = static_cast<uint64_t>(position) * 977;
          ASSERT_EQ(pick(logits, o, position), sorted_pick(logits, o, position))
              << "spread " << spread << " grain " << grain << " temperature " << o.temperature << " top-p " << o.top_p
              << " min-p " << o.min_p << " position " << position;
        }
      }
    }
  }
}

}  // namespace
}  // namespace bantam::engine
