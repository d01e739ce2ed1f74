#include "kernels/machine_probe.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "base/clock.h"
#include "base/cpu_features.h"
#include "kernels/cpu/probe_kernels.h"
#include "tensor/storage.h"

namespace bantam::kernels {
namespace {

// Short tries, of which the best counts: on a busy machine few of them run undisturbed on all threads. At least
// kTries, then more while they last less than kSeconds together.
constexpr double kSecondsPerTry = 0.004;
constexpr int kTries = 4;
constexpr double kSeconds = 0.25;
constexpr int64_t kReadBytesPerTry = int64_t{32} << 20;  // per thread

uint64_t generic_read(const std::byte* data, int64_t bytes) {
  uint64_t a = 0, b = 0, v[2];
  for (int64_t at = 0; at < bytes; at += 16) {
    std::memcpy(v, data + at, sizeof v);
    a |= v[0];
    b |= v[1];
  }
  return a ^ b;
}

double generic_fma(int64_t rounds) {
  float acc[8] = {};
  for (int64_t round = 0; round < rounds; ++round) {
    for (float& f : acc) f = std::fma(f, 0.999f, 1e-3f);
  }
  return static_cast<double>(acc[0] + acc[7]);
}

double generic_int8(int64_t rounds) {
  int8_t q[32];
  int16_t w[32];
  for (int i = 0; i < 32; ++i) q[i] = static_cast<int8_t>(w[i] = static_cast<int16_t>(i - 9));
  int sum = 0;
  for (int64_t round = 0; round < rounds; ++round) {
    for (int i = 0; i < 32; ++i) sum += w[i] * q[i];
    asm volatile("" : : "r"(q), "r"(w) : "memory");
  }
  return sum;
}

ProbeKernels kernels_of(std::string_view table) {
  if (table == "amx") return probe_kernels_amx();
  if (table == "avx512") return probe_kernels_avx512();
  if (table == "avx2") return probe_kernels_avx2();
  return probe_kernels_generic();
}

// Rounds per second over all threads, best of a few tries.
double measure_rounds(ThreadPool& pool, double (*loop)(int64_t)) {
  std::atomic<double> sink{0};
  double best = 0;
  int64_t rounds = 4096;
  const Stopwatch total;
  for (int tries = 0; tries < kTries || total.elapsed_ms() < 1e3 * kSeconds;) {
    const Stopwatch watch;
    pool.parallel(pool.threads(), [&](int64_t, int) { sink.store(loop(rounds), std::memory_order_relaxed); });
    const double seconds = (watch.elapsed_ms() * 1e-3);
    if (seconds < kSecondsPerTry) {
      rounds *= 2;
      continue;
    }
    best = std::max(best, static_cast<double>(rounds * pool.threads()) / seconds);
    ++tries;
  }
  return best;
}

}  // namespace

ProbeKernels probe_kernels_generic() {
  return {
      .read = generic_read, .fma = generic_fma, .int8 = generic_int8, .flop_per_round = 16, .int8_op_per_round = 64};
}

double measure_read_gbs(ThreadPool& pool, int64_t bytes) {
  Result<Storage> memory = Storage::allocate(bytes);
  if (!memory.ok()) return 0;
  std::byte* data = memory.value().data();
  const int64_t share = bytes / pool.threads() / 4096 * 4096;
  pool.parallel(pool.threads(), [&](int64_t i, int) { std::memset(data + i * share, 1, static_cast<size_t>(share)); });
  // Whichever pattern is faster counts, in turns. zmm loads are no faster than ymm.
  const ProbeKernels k = cpu_features().avx2 ? probe_kernels_avx2() : probe_kernels_generic();
  std::atomic<uint64_t> sink{0};
  double best = 0;
  const int64_t piece = std::min(share, kReadBytesPerTry);
  const Stopwatch total;
  for (int64_t tries = 0, at = 0; tries < kTries || total.elapsed_ms() < 1e3 * kSeconds; ++tries) {
    const Stopwatch watch;
    const auto read = k.read_streams != nullptr && tries % 2 == 1 ? k.read_streams : k.read;
    pool.parallel(pool.threads(),
                  [&](int64_t i, int) { sink.store(read(data + i * share + at, piece), std::memory_order_relaxed); });
    best = std::max(best, static_cast<double>(piece * pool.threads()) / (watch.elapsed_ms() * 1e-3));
    at = at + 2 * piece <= share ? at + piece : 0;
  }
  return best / 1e9;
}

double measure_fma_gflops(ThreadPool& pool, std::string_view table) {
  const ProbeKernels k = kernels_of(table);
  return measure_rounds(pool, k.fma) * k.flop_per_round / 1e9;
}

double measure_int8_gops(ThreadPool& pool, std::string_view table) {
  const ProbeKernels k = kernels_of(table);
  return measure_rounds(pool, k.int8) * k.int8_op_per_round / 1e9;
}

}  // namespace bantam::kernels
