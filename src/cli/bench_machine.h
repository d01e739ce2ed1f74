// The machine's limits as `bantam bench` probes them: once for every thread count at the start, and again beside every
// turn, because the rates of a shared host differ by 2x within an hour. One thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/table.h"

namespace bantam::cli {

struct Rates {
  double read_gbs = 0;      // memory, 1e9 bytes a second
  double fma_gflops = 0;    // fp32
  double int8_gops = 0;     // int8 multiply-adds, 2 each
  double ping_pong_ns = 0;  // a cache line to the farthest of the processors and back; 0: one processor
  std::string placement;    // kernels/ping_pong.h, or "moving" when several probes disagree
};

struct MachineLimits {
  std::string cpu, isa;
  int threads = 1;
  std::vector<Rates> by_threads;  // [i]: with i + 1 threads; counts between powers of two repeat the last probed
  const Rates& all() const { return by_threads.back(); }
};

class MachineProbe {
 public:
  MachineProbe(const kernels::Table& table, int threads);
  // All thread counts that are powers of two, and all threads. A second each.
  MachineLimits all_counts();
  // All threads, less than a second: what stands beside a turn. REQUIRES: all_counts() before.
  Rates beside();

 private:
  Rates probe(ThreadPool& pool, int64_t read_bytes) const;
  std::string_view table_;
  int threads_;
  double fma_one_ = 0;  // GFLOP/s of one thread: placement compares with it
};

// The medians of several probes of the same thread count. REQUIRES: not empty.
Rates median_rates(const std::vector<Rates>& probes);
double median(std::vector<double> values);  // the mean of the middle two of an even number; REQUIRES: not empty

}  // namespace bantam::cli
