// What `bantam bench` found: the machine's limits, the model, and rows of speed beside the limit. Plain data, and how
// it is printed: a table, JSON (the contract of docs/commands.md), or CSV rows for bench/results.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace bantam::cli {

// Probed in the same run; [i] is with i + 1 threads.
struct MachineLimits {
  std::string cpu, isa;
  int threads = 1;
  std::vector<double> read_gbs, fma_gflops, int8_gops;
};

struct BenchModel {
  std::string name, type, numerics, kv;
  int64_t bytes = 0;       // packed weights
  int64_t step_bytes = 0;  // weights one step reads: all matrices and the head
  int64_t kv_bytes_per_tok = 0;
  double linear_flop = 0;     // per token, without the head
  double head_flop = 0;       // per row of logits
  double attention_flop = 0;  // per token and token of context
  bool integer = false;       // fast on quantised weights: bound by int8 instead of fma
};

struct BenchRow {
  std::string work;  // "prefill" or "decode"
  int64_t tokens = 0, context = 0, batch = 1;
  double tok_s = 0;
  double limit_share = 0;
  std::string bound;  // "memory", "fma" or "int8": which limit the share is of
};

// Fills limit_share and bound from tok_s: the limit is the slower of reading the bytes at the probed bandwidth and
// computing at the probed peak.
void judge(const MachineLimits& machine, const BenchModel& model, BenchRow* row);

void print_machine(const MachineLimits& machine);
void print_row_header();
void print_row(const BenchRow& row);
std::string report_json(const MachineLimits& machine, const BenchModel* model, const std::vector<BenchRow>& rows);
// Appends rows, with a header line when the file is new.
Status append_csv(const std::string& path, const std::string& commit, const MachineLimits& machine,
                  const BenchModel& model, const std::vector<BenchRow>& rows);

}  // namespace bantam::cli
