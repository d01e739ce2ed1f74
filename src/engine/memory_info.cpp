// See memory_info.h.
#include "engine/memory_info.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>

namespace bantam::engine {
namespace {

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

int64_t mem_available() {
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  int64_t value = 0;
  while (file >> key >> value) {
    if (key == "MemAvailable:") return value * 1024;
    std::getline(file, unit);
  }
  return kUnlimited;
}

// Cached file pages count as used by a control group, but the kernel gives them back when memory is asked for; a
// model that was just copied would otherwise seem to fill the group.
int64_t cached_bytes(const std::string& stat_file, std::string_view prefix) {
  std::ifstream file(stat_file);
  std::string key;
  int64_t value = 0, total = 0;
  while (file >> key >> value) {
    if (!key.starts_with(prefix)) continue;
    const std::string_view rest = std::string_view(key).substr(prefix.size());
    if (rest == "inactive_file" || rest == "active_file") total += value;
  }
  return total;
}

// What one control group's limit leaves; kUnlimited when it has none ("max") or is not there.
int64_t left_in(const std::string& limit_path, const std::string& used_path, const std::string& stat_path,
                std::string_view stat_prefix) {
  std::ifstream limit_file(limit_path), used_file(used_path);
  int64_t limit = 0, used = 0;
  if (!(limit_file >> limit && used_file >> used)) return kUnlimited;
  return std::clamp<int64_t>(limit - used + cached_bytes(stat_path, stat_prefix), 0, limit);
}

// The least that the control group of this process and its parents leave, of version 2 and of version 1.
int64_t cgroup_available() {
  std::string own = "/";
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    if (line.starts_with("0::/")) own = line.substr(3);
  }
  int64_t least = left_in("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes",
                          "/sys/fs/cgroup/memory/memory.stat", "total_");
  for (;;) {
    while (own.ends_with('/')) own.pop_back();
    const std::string folder = "/sys/fs/cgroup" + own;
    least = std::min(least, left_in(folder + "/memory.max", folder + "/memory.current", folder + "/memory.stat", ""));
    if (own.empty()) return least;
    own.resize(own.rfind('/'));
  }
}

}  // namespace

int64_t available_memory_bytes() {
  const int64_t available = std::min(mem_available(), cgroup_available());
  return available / 10 * 9;
}

}  // namespace bantam::engine
