// Another engine's benchmark program beside ours: builds its command line, runs it once per turn, reads its JSON. Knows
// llama-bench of llama.cpp and its forks, and their llama-batched-bench for decoding several sequences. What a peer
// prints is untrusted: a crash, a missing row or a figure that cannot be is an error that quotes it. One thread.
#pragma once

#include <string>
#include <vector>

#include "cli/bench_report.h"

namespace bantam::cli {

struct PeerOptions {
  std::string path;                   // llama-bench; "": no peer
  std::string name;                   // what the rows call it; "": the program's file name
  std::vector<std::string> variants;  // its further arguments; each entry is a setting measured in turn
  std::string batched_path;           // llama-batched-bench; "": no rows with more than one sequence
  std::string batched_args;
};

struct PeerTurn {
  double tok_s = 0;
  std::string commit;  // as the peer says; "" when it does not
  int64_t peak_rss_bytes = 0;
};

class Peer {
 public:
  // Asks the program for its options. `model` is a GGUF file.
  static Result<Peer> open(const PeerOptions& options, const std::string& model, int threads);

  const std::string& name() const { return options_.name; }
  // The settings a work is measured with: its variants, or the one of the batched program.
  std::vector<std::string> variants(const BenchWork& work) const;
  // Why the peer cannot do that work within limit_s seconds a turn; "" when it can.
  std::string obstacle(const BenchWork& work, double limit_s) const;
  Result<PeerTurn> turn(const BenchWork& work, const std::string& variant, double limit_s);

 private:
  std::vector<std::string> command(const BenchWork& work) const;
  Result<PeerTurn> batched_turn(const BenchWork& work, double limit_s) const;

  PeerOptions options_;
  std::string model_;
  int threads_ = 1;
  bool has_depth_ = false;      // -d N: the depth of every test
  bool has_gp_ = false;         // -gp P,G: generation after a prompt of P, timed alone
  bool has_no_warmup_ = false;  // --no-warmup, elsewhere -w 0
  // How quickly it makes a context: as its last turn at a depth showed. Before the first one nothing is held against
  // it.
  double fill_tok_s_ = 1e6;
};

// Words of a command line: separated by blanks, '...' and "..." keep blanks. Error: a quote that does not end.
Result<std::vector<std::string>> split_words(const std::string& text);
// llama-bench's JSON among what it printed: tokens per second of the one test whose n_prompt, n_gen and n_depth these
// are.
Result<PeerTurn> read_llama_bench(const std::string& out, int64_t n_prompt, int64_t n_gen, int64_t n_depth);
// llama-batched-bench's line for `batch` sequences (JSON or its table): generated tokens per second of all together.
Result<double> read_batched_bench(const std::string& out, int64_t batch);

}  // namespace bantam::cli
