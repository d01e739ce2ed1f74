// bantam's own side of `bantam bench`: one loaded engine doing one work turn by turn. One thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/bench_report.h"
#include "cli/options.h"
#include "engine/runner.h"

namespace bantam::cli {

// What a step of this engine costs, for the limits.
BenchModel describe(const EngineImpl& engine, const ComputeOptions& compute);

// One work, set up once and measured as often as wanted. Deep sequences are filled with generated keys and values
// (speed does not depend on their values), so that 64k of context takes seconds instead of hours.
class OwnTurns {
 public:
  OwnTurns(EngineImpl& engine, BenchWork work) : engine_(engine), work_(std::move(work)) {}
  // Why the engine cannot do the work (context, pages, rows); "" when it can.
  std::string obstacle() const;
  // Makes the sequences. REQUIRES: obstacle() is "".
  Status prepare();
  // Tokens per second of one turn: a short warm-up, then the work. REQUIRES: prepare().
  Result<double> turn();

 private:
  Result<double> prefill_turn();
  Result<double> decode_turn();
  Status append(std::span<const int32_t> tokens);
  Status step();
  std::vector<int32_t> random_tokens(int64_t n) const;

  EngineImpl& engine_;
  BenchWork work_;
  std::vector<std::unique_ptr<SessionImpl>> sessions_;
  std::vector<int32_t> tokens_;  // prefill: the prompt; decode: one per sequence
};

// One start of this program in a process of its own, with these options: milliseconds to the first token, and its
// memory. The model's file is in the page cache from the second time on.
struct Start {
  double first_token_ms = 0;
  int64_t peak_rss_bytes = 0;
};
Result<Start> measure_start(const ComputeOptions& compute, double limit_s);

}  // namespace bantam::cli
