// See bench_machine.h.
#include "cli/bench_machine.h"

#include <algorithm>

#include "base/check.h"
#include "base/cpu_features.h"
#include "kernels/machine_probe.h"
#include "kernels/ping_pong.h"

namespace bantam::cli {
namespace {

constexpr int64_t kBytesBeside = kernels::kProbeBytes / 2;  // touching the memory is a third of a probe's time

}  // namespace

MachineProbe::MachineProbe(const kernels::Table& table, int threads) : table_(table.name), threads_(threads) {}

Rates MachineProbe::probe(ThreadPool& pool, int64_t read_bytes) const {
  Rates out;
  out.read_gbs = kernels::measure_read_gbs(pool, read_bytes);
  out.fma_gflops = kernels::measure_fma_gflops(pool, table_);
  out.int8_gops = kernels::measure_int8_gops(pool, table_);
  if (pool.threads() > 1) {
    const kernels::PingPong ping_pong = kernels::measure_ping_pong();
    out.ping_pong_ns = ping_pong.farthest_ns;
    out.placement = kernels::placement(ping_pong, fma_one_, out.fma_gflops, pool.threads());
  } else {
    out.placement = kernels::placement({}, out.fma_gflops, out.fma_gflops, 1);
  }
  return out;
}

MachineLimits MachineProbe::all_counts() {
  MachineLimits out{.cpu = cpu_features().name, .isa = std::string(table_), .threads = threads_, .by_threads = {}};
  for (int n = 1;; n = std::min(2 * n, threads_)) {
    ThreadPool pool(n);
    const Rates rates = probe(pool, kernels::kProbeBytes);
    if (n == 1) fma_one_ = rates.fma_gflops;
    out.by_threads.resize(static_cast<size_t>(n), rates);
    if (n == threads_) return out;
  }
}

Rates MachineProbe::beside() {
  ThreadPool pool(threads_);
  return probe(pool, kBytesBeside);
}

double median(std::vector<double> values) {
  BANTAM_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

Rates median_rates(const std::vector<Rates>& probes) {
  Rates out;
  const auto middle = [&](double Rates::*field) {
    std::vector<double> values;
    for (const Rates& r : probes) values.push_back(r.*field);
    return median(std::move(values));
  };
  out.read_gbs = middle(&Rates::read_gbs);
  out.fma_gflops = middle(&Rates::fma_gflops);
  out.int8_gops = middle(&Rates::int8_gops);
  out.ping_pong_ns = middle(&Rates::ping_pong_ns);
  out.placement = probes[0].placement;
  for (const Rates& r : probes) {
    if (r.placement != out.placement) out.placement = "moving";
  }
  return out;
}

}  // namespace bantam::cli
