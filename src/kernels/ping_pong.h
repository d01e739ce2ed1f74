// Where the operating system's processors sit in relation to each other, measured: one cache line goes back and forth
// between two of them. Called by `bantam bench` beside its other probes, because a virtual machine's processors move:
// two on one chiplet share a last-level cache and one path to memory, two on different chiplets have two paths (on a
// Zen 4 machine 51 to 64 ns a round trip against 310 to 380 ns, and 30 GB/s of reading against 50), and two on one
// core halve what each computes. One call at a time; starts two threads of its own and pins them, nothing else.
#pragma once

#include <string_view>

namespace bantam::kernels {

struct PingPong {
  // Nanoseconds of a round trip between the first processor this process may use and the others (at most eight of
  // them): the nearest and the farthest. 0 where there is only one, or where they never ran at the same time.
  double nearest_ns = 0, farthest_ns = 0;
};
PingPong measure_ping_pong();

// What the measurements say about the placement of `threads` threads: "one thread", "one core" (fp32 FMA of two threads
// is hardly more than of one), "one chiplet", "two chiplets", "unknown" (no ping-pong). fma_one and fma_all: GFLOP/s on
// one thread and on all of them.
std::string_view placement(const PingPong& ping_pong, double fma_one, double fma_all, int threads);

}  // namespace bantam::kernels
