// See memory_info.h.
#include "engine/memory_info.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string_view>

namespace bantam::engine {
namespace {

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

// A hard limit and what is left below it, bytes.
struct Room {
  int64_t limit = kUnlimited;
  int64_t left = kUnlimited;
};

Room narrower(const Room& a, const Room& b) {
  return {.limit = std::min(a.limit, b.limit), .left = std::min(a.left, b.left)};
}

Room machine_room(const std::string& proc) {
  std::ifstream file(proc + "/meminfo");
  Room room;
  std::string key, unit;
  for (int64_t kib = 0; file >> key >> kib; std::getline(file, unit)) {
    if (key == "MemTotal:") room.limit = kib * 1024;
    if (key == "MemAvailable:") room.left = kib * 1024;
  }
  return room;
}

// Bytes of a control group that its kernel gives back when memory is asked for: cached file pages (not those of tmpfs)
// and slabs. Without them a model that was just copied would seem to fill the group.
int64_t reclaimable_bytes(const std::string& stat_path, std::string_view prefix) {
  std::ifstream file(stat_path);
  std::string key;
  int64_t value = 0, total = 0;
  while (file >> key >> value) {
    if (!key.starts_with(prefix)) continue;
    const std::string_view rest = std::string_view(key).substr(prefix.size());
    if (rest == "inactive_file" || rest == "active_file" || rest == "slab_reclaimable") total += value;
  }
  return total;
}

// One control group; unlimited when it has no limit ("max") or is not there.
Room group_room(const std::string& folder, const char* limit_name, const char* used_name, std::string_view prefix) {
  std::ifstream limit_file(folder + limit_name), used_file(folder + used_name);
  int64_t limit = 0, used = 0;
  if (!(limit_file >> limit && used_file >> used)) return {};
  const int64_t left = limit - used + reclaimable_bytes(folder + "/memory.stat", prefix);
  return {.limit = limit, .left = std::clamp<int64_t>(left, 0, limit)};
}

// The least that `group` and its parents leave. In a container the path may name folders of the host that are not
// mounted; those are passed over and the mount's own root counts.
Room groups_room(const std::string& root, std::string group, const char* limit_name, const char* used_name,
                 std::string_view prefix) {
  Room room;
  for (;;) {
    while (group.ends_with('/')) group.pop_back();
    room = narrower(room, group_room(root + group, limit_name, used_name, prefix));
    if (group.empty()) return room;
    group.resize(group.rfind('/'));
  }
}

Room own_groups_room(const MemoryFiles& files) {
  std::string v1 = "/", v2 = "/";
  std::ifstream groups(files.proc + "/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t path = line.find(":/");
    if (path == std::string::npos) continue;
    if (line.starts_with("0::")) v2 = line.substr(3);
    if (line.substr(0, path).ends_with(":memory")) v1 = line.substr(path + 1);
  }
  return narrower(
      groups_room(files.cgroup + "/memory", v1, "/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_"),
      groups_room(files.cgroup, v2, "/memory.max", "/memory.current", ""));
}

}  // namespace

int64_t available_memory_bytes(const MemoryFiles& files) {
  const Room room = narrower(machine_room(files.proc), own_groups_room(files));
  return std::max(room.left / 10 * 9, std::min(kForecastFloorBytes, room.limit / 4));
}

}  // namespace bantam::engine
