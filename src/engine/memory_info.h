// How much memory the machine can still give: the basis of the default context and of refusing early.
// Called by the engine and by the CLI's forecasts. Thread-safe: every call reads the files anew.
#pragma once

#include <cstdint>
#include <string>

namespace bantam::engine {

// Where the figures are read; tests give folders of their own.
struct MemoryFiles {
  std::string proc = "/proc";
  std::string cgroup = "/sys/fs/cgroup";
};

// Bytes that can be used without pushing others out: MemAvailable of /proc/meminfo or what the process's control groups
// (version 1 or 2) still allow, whichever is less, minus a tenth as a margin. Both are forecasts: kernels differ in
// what they count as free, and some count cached files as used. So the answer is never under kForecastFloorBytes or a
// quarter of the hard limit, whichever is less: a small model is tried rather than refused. A large number where
// nothing can be read.
constexpr int64_t kForecastFloorBytes = int64_t{512} << 20;
int64_t available_memory_bytes(const MemoryFiles& files = {});

}  // namespace bantam::engine
