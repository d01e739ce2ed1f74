// The sampler: a row of logits in, a token and its log-probability out. Pure functions of their arguments: the same
// on every CPU, whatever else runs (a scratch never shows). Shared by sessions, rollouts and the server.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "bantam/session.h"

namespace bantam::engine {

// Which rows of the output may be chosen: 1 = allowed. Empty: all.
using TokenMask = std::vector<uint8_t>;

// Buffers of sample_token, kept between calls so that a token costs no allocation. One per thread of sampling.
struct SamplerScratch {
  struct Candidate {
    double score;
    int32_t id;
  };
  std::vector<double> scores, weights;  // per row; per candidate of `list`
  std::vector<int32_t> counts;          // per row, all zero between calls
  std::vector<Candidate> list, spare;
};

// log of the sum of exp(logits), in double, in order of the rows.
double log_sum_exp(std::span<const float> logits);

// The n best allowed tokens with their log-probabilities, best first, ties by lower id.
std::vector<TokenLogprob> top_logprobs(std::span<const float> logits, double log_sum, int32_t n, const TokenMask& mask);

// The token `id` with what is asked for by `top`, as SamplingOptions::top_logprobs. REQUIRES: id is a row.
Sampled given_token(std::span<const float> logits, const TokenMask& mask, int32_t id, int32_t top);

// Chooses a token. logits [V]; context: the whole timeline (repetition penalty); generated: its generated tail
// (presence and frequency); position: index the new token will have, the RNG's counter.
// Order: bias, repetition, presence and frequency, temperature, top-k, top-p, min-p (the order of transformers'
// processors and warpers). Non-finite logits count as impossible; if nothing is left, the lowest allowed id.
Sampled sample_token(std::span<const float> logits, const TokenMask& mask, const SamplingOptions& options,
                     std::span<const int32_t> context, std::span<const int32_t> generated, int64_t position,
                     SamplerScratch& scratch);

}  // namespace bantam::engine
