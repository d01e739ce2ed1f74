// See ping_pong.h.
#include "kernels/ping_pong.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "base/clock.h"

namespace bantam::kernels {
namespace {

constexpr int kSamples = 15, kRoundTrips = 200;
constexpr double kMilliseconds = 40;  // for one pair; a busy machine may never run both threads at once
constexpr size_t kPairs = 8;
// Between the two groups of the Zen 4 measurement, and above what one mesh of an Intel socket takes (about 130 ns).
constexpr double kSameChipletNs = 200;
// Two threads of one core reach 1.0 times one thread's FMA rate, two cores 1.9 to 2.0.
constexpr double kOneCore = 1.35;

struct alignas(128) Line {
  std::atomic<uint32_t> ball{0};
  alignas(128) std::atomic<bool> stop{false};
};

void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

// Waits for the ball; false when the other side gave up.
bool wait_for(Line& line, uint32_t value) {
  while (line.ball.load(std::memory_order_acquire) != value) {
    if (line.stop.load(std::memory_order_relaxed)) return false;
  }
  return true;
}

// Throws the ball back until told to stop.
void answer(Line& line, int cpu) {
  pin(cpu);
  for (uint32_t ball = 1; wait_for(line, ball); ball += 2) line.ball.store(ball + 1, std::memory_order_release);
}

// As wait_for, but gives up when the time is over.
bool wait_until(Line& line, uint32_t value, const Stopwatch& watch) {
  for (uint32_t spins = 1; line.ball.load(std::memory_order_acquire) != value; ++spins) {
    if (spins % 4096 == 0 && watch.elapsed_ms() > kMilliseconds) return false;
  }
  return true;
}

// Median nanoseconds of a round trip; 0 when no sample was finished in time.
double round_trip_ns(int from, int to) {
  Line line;
  std::vector<double> samples;
  std::thread server([&] {
    pin(from);
    const Stopwatch total;
    uint32_t ball = 0;
    for (int sample = 0; sample < kSamples; ++sample) {
      const Stopwatch watch;
      for (int i = 0; i < kRoundTrips; ++i) {
        line.ball.store(ball + 1, std::memory_order_release);
        ball += 2;
        if (!wait_until(line, ball, total)) return;
      }
      samples.push_back(1e6 * watch.elapsed_ms() / kRoundTrips);
    }
  });
  std::thread client([&] { answer(line, to); });
  server.join();
  line.stop = true;
  client.join();
  if (samples.empty()) return 0;
  std::nth_element(samples.begin(), samples.begin() + static_cast<ptrdiff_t>(samples.size() / 2), samples.end());
  return samples[samples.size() / 2];
}

std::vector<int> allowed_cpus() {
  std::vector<int> out;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return out;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) out.push_back(cpu);
  }
  return out;
}

}  // namespace

PingPong measure_ping_pong() {
  PingPong out;
  const std::vector<int> cpus = allowed_cpus();
  for (size_t i = 1; i < std::min(cpus.size(), kPairs + 1); ++i) {
    const double ns = round_trip_ns(cpus[0], cpus[i]);
    if (ns == 0) continue;
    out.nearest_ns = out.nearest_ns == 0 ? ns : std::min(out.nearest_ns, ns);
    out.farthest_ns = std::max(out.farthest_ns, ns);
  }
  return out;
}

std::string_view placement(const PingPong& ping_pong, double fma_one, double fma_all, int threads) {
  if (threads == 1) return "one thread";
  if (threads == 2 && fma_one > 0 && fma_all < kOneCore * fma_one) return "one core";
  if (ping_pong.farthest_ns == 0) return "unknown";
  return ping_pong.farthest_ns <= kSameChipletNs ? "one chiplet" : "two chiplets";
}

}  // namespace bantam::kernels
