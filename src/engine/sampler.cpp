// See sampler.h. All arithmetic in double with exact_exp/exact_log, candidates in a total order (logit, then id).
//
// A draw walks the candidates best first and adds up their weights in that order: sums of floats depend on the order,
// so the order is part of the result. Sorting a whole vocabulary for it costs milliseconds per token, yet all but a few
// draws end among the best dozen. draw_from_best() therefore works with the best candidates only and with
// bounds of the full sum that hold in any order of adding. Rounding is monotonic, so what those bounds decide is what
// the full walk would have decided; where they leave it open, more candidates are sorted, in the end all of them.
#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "base/exact_math.h"
#include "base/rng.h"

namespace bantam::engine {
namespace {

using Candidate = SamplerScratch::Candidate;

// Sizes of the sorted beginning to try before everything is sorted (top-k off).
constexpr int32_t kPrefixes[] = {64, 2048};
// Candidates further than this below the best, in units of the temperature, are counted and not computed: 152k of them
// weigh at most 3e-4 together, which leaves about one draw in three thousand open.
constexpr double kFar = 20.0, kFarWeight = 2.1e-9;  // > e^-20

bool better(const Candidate& a, const Candidate& b) {
  return a.score != b.score ? a.score > b.score : a.id < b.id;
}

bool allowed(const TokenMask& mask, size_t id) {
  return mask.empty() || (id < mask.size() && mask[id] != 0);
}

// scratch.scores: the logits as doubles after bias and penalties.
void adjust_scores(std::span<const float> logits, const SamplingOptions& options, std::span<const int32_t> context,
                   std::span<const int32_t> generated, SamplerScratch& scratch) {
  std::vector<double>& scores = scratch.scores;
  std::vector<int32_t>& counts = scratch.counts;
  scores.assign(logits.begin(), logits.end());
  const auto in_range = [&](int32_t id) { return id >= 0 && static_cast<size_t>(id) < scores.size(); };
  for (const auto& [id, bias] : options.logit_bias) {
    if (in_range(id)) scores[static_cast<size_t>(id)] += static_cast<double>(bias);
  }
  counts.resize(scores.size(), 0);  // all zero between calls
  scratch.list.reserve(scores.size());
  scratch.weights.reserve(scores.size());
  scratch.spare.reserve(scores.size());
  if (options.repetition_penalty != 1.0) {
    for (int32_t id : context) {
      if (!in_range(id) || counts[static_cast<size_t>(id)]++ != 0) continue;
      double& s = scores[static_cast<size_t>(id)];
      s = s > 0 ? s / options.repetition_penalty : s * options.repetition_penalty;
    }
    for (int32_t id : context) {
      if (in_range(id)) counts[static_cast<size_t>(id)] = 0;
    }
  }
  if (options.presence_penalty != 0.0 || options.frequency_penalty != 0.0) {
    for (int32_t id : generated) {
      if (in_range(id)) ++counts[static_cast<size_t>(id)];
    }
    for (int32_t id : generated) {
      if (!in_range(id) || counts[static_cast<size_t>(id)] == 0) continue;
      const int32_t count = std::exchange(counts[static_cast<size_t>(id)], 0);
      scores[static_cast<size_t>(id)] -= options.presence_penalty + options.frequency_penalty * count;
    }
  }
}

// Falls as the score rises; equal scores (0 and -0 too) have equal keys.
uint32_t sort_key(double score) {
  const auto bits = std::bit_cast<uint64_t>(score + 0.0);
  const uint64_t rising = bits >> 63 ? ~bits : bits | uint64_t{1} << 63;
  return static_cast<uint32_t>(~rising >> 32);
}

// Sorts best first: by the upper 32 bits of the scores in three stable passes of 11 bits, then what they leave equal.
// A quarter of std::sort's time at 152k candidates.
void sort_all(std::vector<Candidate>* list, std::vector<Candidate>* spare) {
  constexpr uint32_t kBits = 11, kPasses = 3, kMask = (1u << kBits) - 1;
  std::array<std::array<uint32_t, kMask + 1>, kPasses> starts{};
  for (const Candidate& c : *list) {
    for (uint32_t pass = 0; pass < kPasses; ++pass) ++starts[pass][sort_key(c.score) >> kBits * pass & kMask];
  }
  spare->resize(list->size());
  for (uint32_t pass = 0; pass < kPasses; ++pass) {
    uint32_t next = 0;
    for (uint32_t& start : starts[pass]) next += std::exchange(start, next);
    for (const Candidate& c : *list) (*spare)[starts[pass][sort_key(c.score) >> kBits * pass & kMask]++] = c;
    list->swap(*spare);
  }
  for (auto begin = list->begin(); begin != list->end();) {
    auto end = begin + 1;
    while (end != list->end() && sort_key(end->score) == sort_key(begin->score)) ++end;
    if (end - begin > 1) std::sort(begin, end, better);
    begin = end;
  }
}

// list: the k best candidates, best first.
void best_candidates(std::span<const double> scores, const TokenMask& mask, int32_t k, std::vector<Candidate>* list) {
  list->clear();
  for (size_t id = 0; id < scores.size(); ++id) {
    const Candidate c{scores[id], static_cast<int32_t>(id)};
    const bool full = list->size() == static_cast<size_t>(k);
    // Ids ascend, so among equals the ones already there are better.
    if (full && !(c.score > list->front().score)) continue;
    if (!std::isfinite(c.score) || !allowed(mask, id)) continue;
    if (full) {
      std::pop_heap(list->begin(), list->end(), better);
      list->back() = c;
    } else {
      list->push_back(c);
    }
    std::push_heap(list->begin(), list->end(), better);
  }
  std::sort_heap(list->begin(), list->end(), better);
}

void all_candidates(const TokenMask& mask, SamplerScratch& scratch) {
  scratch.list.clear();
  for (size_t id = 0; id < scratch.scores.size(); ++id) {
    if (!std::isfinite(scratch.scores[id]) || !allowed(mask, id)) continue;
    scratch.list.push_back({scratch.scores[id], static_cast<int32_t>(id)});
  }
  sort_all(&scratch.list, &scratch.spare);
}

void fill_weights(const std::vector<Candidate>& list, double temperature, std::vector<double>* weights) {
  weights->resize(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    (*weights)[i] = exact_exp((list[i].score - list[0].score) / temperature);
  }
}

double uniform_draw(const SamplingOptions& options, int64_t position) {
  return uniform_at(options.seed, options.choice, static_cast<uint64_t>(position));
}

// Draws from all candidates, sorted best first, after top-p and min-p: the definition of the result.
int32_t draw(const SamplerScratch& scratch, const SamplingOptions& options, int64_t position) {
  const std::vector<Candidate>& list = scratch.list;
  const std::vector<double>& weights = scratch.weights;
  size_t kept = list.size();
  if (options.top_p < 1.0) {
    double total = 0, cumulative = 0;
    for (double weight : weights) total += weight;
    for (size_t i = 0; i < kept; ++i) {
      cumulative += weights[i];
      if (cumulative >= options.top_p * total) {
        kept = i + 1;
        break;
      }
    }
  }
  if (options.min_p > 0.0) {
    while (kept > 1 && weights[kept - 1] < options.min_p * weights[0]) --kept;
  }
  double kept_total = 0;
  for (size_t i = 0; i < kept; ++i) kept_total += weights[i];
  double rest = uniform_draw(options, position) * kept_total;
  for (size_t i = 0; i + 1 < kept; ++i) {
    if (rest < weights[i]) return list[i].id;
    rest -= weights[i];
  }
  return list[kept - 1].id;
}

// Between these lies the sum of some weights, in whatever order it is added up.
struct Bounds {
  double low = 0, high = 0;
};

// Of the weights of all candidates; `best` is the highest score.
Bounds total_weight(std::span<const double> scores, const TokenMask& mask, double best, double temperature) {
  double near = 0;
  int64_t far = 0;
  for (size_t id = 0; id < scores.size(); ++id) {
    if (!std::isfinite(scores[id]) || !allowed(mask, id)) continue;
    const double x = (scores[id] - best) / temperature;
    if (x < -kFar) {
      ++far;
    } else {
      near += exact_exp(x);
    }
  }
  // Adding n terms, none negative, in any order errs by less than n 2^-53 of the sum; twice that for two orders, and
  // twice again for what is rounded here.
  const double slack = static_cast<double>(scores.size()) * 0x1p-51;
  return {near * (1 - slack), (near + static_cast<double>(far) * kFarWeight) * (1 + slack)};
}

// What draw() would return, from the best candidates in scratch and bounds of all candidates' weight; nothing when
// that hangs on the candidates behind them or on a rounding. REQUIRES: there are candidates behind them.
std::optional<int32_t> draw_from_best(const SamplerScratch& scratch, Bounds total, const SamplingOptions& options,
                                      int64_t position) {
  const std::vector<Candidate>& list = scratch.list;
  const std::vector<double>& weights = scratch.weights;
  size_t kept = list.size();
  bool ends_here = false;  // whether top-p or min-p drop everything behind list[kept - 1]
  if (options.top_p < 1.0) {
    double cumulative = 0;
    for (size_t i = 0; i < list.size() && !ends_here; ++i) {
      cumulative += weights[i];
      if (cumulative >= options.top_p * total.high) {
        kept = i + 1;
        ends_here = true;
      } else if (cumulative >= options.top_p * total.low) {
        return std::nullopt;
      }
    }
  }
  if (options.min_p > 0.0) {
    const double least = options.min_p * weights[0];
    // Weights behind the list are at most its last one, up to exact_exp's error of 1e-15.
    if (!ends_here && !(weights.back() < least * (1 - 1e-9))) return std::nullopt;
    ends_here = true;
    while (kept > 1 && weights[kept - 1] < least) --kept;
  }
  if (!ends_here && options.top_p < 1.0) return std::nullopt;  // top-p cuts somewhere behind the list
  if (ends_here) {
    double kept_total = 0;
    for (size_t i = 0; i < kept; ++i) kept_total += weights[i];
    total = {kept_total, kept_total};
  }
  const double u = uniform_draw(options, position);
  Bounds rest = {u * total.low, u * total.high};
  for (size_t i = 0; i + (ends_here ? 1 : 0) < kept; ++i) {
    if (rest.high < weights[i]) return list[i].id;
    if (rest.low < weights[i]) return std::nullopt;
    rest = {rest.low - weights[i], rest.high - weights[i]};
  }
  if (!ends_here) return std::nullopt;
  return list[kept - 1].id;
}

// Draws with top-k off.
int32_t draw_from_all(const TokenMask& mask, const SamplingOptions& options, int64_t position,
                      SamplerScratch& scratch) {
  std::optional<Bounds> total;
  for (const int32_t k : kPrefixes) {
    best_candidates(scratch.scores, mask, k, &scratch.list);
    fill_weights(scratch.list, options.temperature, &scratch.weights);
    if (scratch.list.size() < static_cast<size_t>(k)) return draw(scratch, options, position);  // that was all
    const bool total_matters = options.top_p < 1.0 || options.min_p <= 0.0;
    if (!total && total_matters) total = total_weight(scratch.scores, mask, scratch.list[0].score, options.temperature);
    if (const auto id = draw_from_best(scratch, total.value_or(Bounds{}), options, position)) return *id;
  }
  all_candidates(mask, scratch);
  fill_weights(scratch.list, options.temperature, &scratch.weights);
  return draw(scratch, options, position);
}

}  // namespace

double log_sum_exp(std::span<const float> logits) {
  double best = -std::numeric_limits<double>::infinity();
  for (float l : logits) best = std::max(best, static_cast<double>(l));
  if (!std::isfinite(best)) return best;
  double sum = 0;
  for (float l : logits) sum += exact_exp(static_cast<double>(l) - best);
  return best + exact_log(sum);
}

std::vector<TokenLogprob> top_logprobs(std::span<const float> logits, double log_sum, int32_t n,
                                       const TokenMask& mask) {
  const std::vector<double> scores(logits.begin(), logits.end());
  std::vector<Candidate> list;
  best_candidates(scores, mask, std::max(n, 1), &list);
  std::vector<TokenLogprob> out;
  for (const Candidate& c : list) out.push_back({c.id, c.score - log_sum});
  if (n <= 0) out.clear();
  return out;
}

Sampled sample_token(std::span<const float> logits, const TokenMask& mask, const SamplingOptions& options,
                     std::span<const int32_t> context, std::span<const int32_t> generated, int64_t position,
                     SamplerScratch& scratch) {
  if (options.forced_id >= 0) return given_token(logits, mask, options.forced_id, options.top_logprobs);
  adjust_scores(logits, options, context, generated, scratch);
  const bool greedy = options.temperature <= 0;
  const int32_t k = greedy ? 1 : options.top_k;
  best_candidates(scratch.scores, mask, k > 0 ? k : 1, &scratch.list);
  int32_t id = 0;
  if (scratch.list.empty()) {
    while (static_cast<size_t>(id) + 1 < logits.size() && !allowed(mask, static_cast<size_t>(id))) ++id;
  } else if (greedy) {
    id = scratch.list[0].id;
  } else if (k > 0) {
    fill_weights(scratch.list, options.temperature, &scratch.weights);
    id = draw(scratch, options, position);
  } else {
    id = draw_from_all(mask, options, position, scratch);
  }
  return given_token(logits, mask, id, options.top_logprobs);
}

Sampled given_token(std::span<const float> logits, const TokenMask& mask, int32_t id, int32_t top) {
  Sampled out;
  out.id = id;
  if (top < 0) return out;
  const double log_sum = log_sum_exp(logits);
  out.logprob = static_cast<double>(logits[static_cast<size_t>(id)]) - log_sum;
  if (top > 0) out.top = top_logprobs(logits, log_sum, top, mask);
  return out;
}

}  // namespace bantam::engine
