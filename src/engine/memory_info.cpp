// See memory_info.h.
#include "engine/memory_info.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace bantam::engine {
namespace {

int64_t mem_available() {
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  int64_t value = 0;
  while (file >> key >> value) {
    if (key == "MemAvailable:") return value * 1024;
    std::getline(file, unit);
  }
  return std::numeric_limits<int64_t>::max();
}

// memory.max minus memory.current of the control group (version 2), when there is a limit.
int64_t cgroup_available() {
  std::ifstream limit_file("/sys/fs/cgroup/memory.max"), used_file("/sys/fs/cgroup/memory.current");
  int64_t limit = 0, used = 0;
  if (limit_file >> limit && used_file >> used) return std::max<int64_t>(limit - used, 0);
  return std::numeric_limits<int64_t>::max();
}

}  // namespace

int64_t available_memory_bytes() {
  const int64_t available = std::min(mem_available(), cgroup_available());
  return available / 10 * 9;
}

}  // namespace bantam::engine
