// See sampler.h. All arithmetic in double with exact_exp/exact_log, candidates in a total order (logit, then id).
#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "base/exact_math.h"
#include "base/rng.h"

namespace bantam::engine {
namespace {

struct Candidate {
  double score;
  int32_t id;
};

bool better(const Candidate& a, const Candidate& b) {
  return a.score != b.score ? a.score > b.score : a.id < b.id;
}

bool allowed(const TokenMask& mask, size_t id) {
  return mask.empty() || (id < mask.size() && mask[id] != 0);
}

// The logits as doubles after bias and penalties.
std::vector<double> adjusted_scores(std::span<const float> logits, const SamplingOptions& options,
                                    std::span<const int32_t> context, std::span<const int32_t> generated) {
  std::vector<double> scores(logits.begin(), logits.end());
  auto in_range = [&](int32_t id) { return id >= 0 && static_cast<size_t>(id) < scores.size(); };
  for (const auto& [id, bias] : options.logit_bias) {
    if (in_range(id)) scores[static_cast<size_t>(id)] += static_cast<double>(bias);
  }
  if (options.repetition_penalty != 1.0) {
    std::vector<uint8_t> seen(scores.size(), 0);
    for (int32_t id : context) {
      if (!in_range(id) || seen[static_cast<size_t>(id)] != 0) continue;
      seen[static_cast<size_t>(id)] = 1;
      double& s = scores[static_cast<size_t>(id)];
      s = s > 0 ? s / options.repetition_penalty : s * options.repetition_penalty;
    }
  }
  if (options.presence_penalty != 0.0 || options.frequency_penalty != 0.0) {
    std::unordered_map<int32_t, int> counts;
    for (int32_t id : generated) ++counts[id];
    for (const auto& [id, count] : counts) {
      if (in_range(id)) {
        scores[static_cast<size_t>(id)] -= options.presence_penalty + options.frequency_penalty * count;
      }
    }
  }
  return scores;
}

std::vector<Candidate> candidates_of(std::span<const double> scores, const TokenMask& mask, int32_t top_k) {
  std::vector<Candidate> list;
  if (top_k > 0) {  // keep a heap of the k best instead of sorting the whole vocabulary
    const auto k = static_cast<size_t>(top_k);
    for (size_t id = 0; id < scores.size(); ++id) {
      if (!std::isfinite(scores[id]) || !allowed(mask, id)) continue;
      const Candidate c{scores[id], static_cast<int32_t>(id)};
      if (list.size() < k) {
        list.push_back(c);
        std::push_heap(list.begin(), list.end(), better);
      } else if (better(c, list.front())) {
        std::pop_heap(list.begin(), list.end(), better);
        list.back() = c;
        std::push_heap(list.begin(), list.end(), better);
      }
    }
  } else {
    for (size_t id = 0; id < scores.size(); ++id) {
      if (std::isfinite(scores[id]) && allowed(mask, id)) list.push_back({scores[id], static_cast<int32_t>(id)});
    }
  }
  std::sort(list.begin(), list.end(), better);
  return list;
}

// Draws from candidates sorted best first, after top-p and min-p.
int32_t draw(const std::vector<Candidate>& list, const SamplingOptions& options, int64_t position) {
  std::vector<double> weights(list.size());
  double total = 0;
  for (size_t i = 0; i < list.size(); ++i) {
    weights[i] = exact_exp((list[i].score - list[0].score) / options.temperature);
    total += weights[i];
  }
  size_t kept = list.size();
  if (options.top_p < 1.0) {
    double cumulative = 0;
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
  double rest = uniform_at(options.seed, options.choice, static_cast<uint64_t>(position)) * kept_total;
  for (size_t i = 0; i + 1 < kept; ++i) {
    if (rest < weights[i]) return list[i].id;
    rest -= weights[i];
  }
  return list[kept - 1].id;
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
  std::vector<TokenLogprob> out;
  for (const Candidate& c : candidates_of(scores, mask, std::max(n, 1))) {
    out.push_back({c.id, c.score - log_sum});
  }
  if (n <= 0) out.clear();
  return out;
}

Sampled sample_token(std::span<const float> logits, const TokenMask& mask, const SamplingOptions& options,
                     std::span<const int32_t> context, std::span<const int32_t> generated, int64_t position) {
  const std::vector<double> scores = adjusted_scores(logits, options, context, generated);
  const bool greedy = options.temperature <= 0;
  const std::vector<Candidate> list = candidates_of(scores, mask, greedy ? 1 : options.top_k);
  Sampled out;
  if (list.empty()) {
    out.id = 0;
    while (static_cast<size_t>(out.id) + 1 < logits.size() && !allowed(mask, static_cast<size_t>(out.id))) ++out.id;
  } else {
    out.id = greedy ? list[0].id : draw(list, options, position);
  }
  if (options.top_logprobs < 0) return out;
  const double log_sum = log_sum_exp(logits);
  out.logprob = static_cast<double>(logits[static_cast<size_t>(out.id)]) - log_sum;
  if (options.top_logprobs > 0) out.top = top_logprobs(logits, log_sum, options.top_logprobs, mask);
  return out;
}

}  // namespace bantam::engine
