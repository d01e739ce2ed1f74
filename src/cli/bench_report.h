// What `bantam bench` found: the model, rows of speed beside the limit, peers beside them. Plain data, and how it is
// printed: a table for people or JSON (the contract of docs/commands.md). bench_history.h keeps the same rows as CSV.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/bench_machine.h"

namespace bantam::cli {

struct BenchModel {
  std::string name, type, numerics, kv;
  int64_t bytes = 0;       // packed weights
  int64_t step_bytes = 0;  // weights one step reads: all matrices and the head
  int64_t kv_bytes_per_tok = 0;
  double linear_flop = 0;     // per token, without the head
  double head_flop = 0;       // per row of logits
  double attention_flop = 0;  // per token and token of context
  bool integer = false;       // fast on quantised weights: bound by int8 instead of fma
  bool integer_kv = false;    // fast on quantised pages: attention likewise
};

// One thing to measure. "prefill": `tokens` appended to a sequence of `context`; "decode": `tokens` steps of `batch`
// sequences of `context`; "start": from starting a program to its first token, with the file in the page cache.
struct BenchWork {
  std::string work;
  int64_t tokens = 0, context = 0, batch = 1;
  bool operator==(const BenchWork&) const = default;
  std::string text() const;  // "decode at context 4096, batch 2"
};

// One engine doing one work, turn by turn. tok_s is the median over the turns ("start": one token over the time).
struct Speed {
  std::vector<double> turns;  // tokens per second
  double tok_s = 0;
  double limit_share = 0;
  int64_t peak_rss_bytes = 0;  // of the program in its "start" turns and of a peer in all; 0: not measured
};

struct PeerSpeed {
  std::string engine, commit, flags;
  Speed speed;
  double ratio = 0, ratio_min = 0, ratio_max = 0;  // ours over the peer's: median, least and greatest of the pairs
};

struct BenchRow {
  BenchWork work;
  Speed own;
  std::string bound;  // "memory", "fma" or "int8": which limit the shares are of
  Rates rates;        // medians of the probes beside the turns
  std::vector<PeerSpeed> peers;
};

// Fills medians, ratios, shares and bound from the turns: the limit is the slower of reading the bytes at the probed
// bandwidth and computing at the probed peak. REQUIRES: as many turns of each peer as of our own.
void judge(const BenchModel& model, BenchRow* row);

void print_machine(const MachineLimits& machine);
void print_row_header(bool with_peers);
void print_row(const BenchRow& row, bool with_peers);

struct CheckLine;  // bench_history.h
std::string report_json(const MachineLimits& machine, const BenchModel* model, const std::vector<BenchRow>& rows,
                        const std::vector<std::string>& skipped, const std::vector<CheckLine>& check);

}  // namespace bantam::cli
