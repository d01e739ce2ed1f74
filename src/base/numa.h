// The machine's memory nodes, so that a thread can stay beside the memory it touched first. Called by thread_pool.
#pragma once

#include <string>
#include <vector>

namespace bantam {

// For each memory node the CPUs this process may run on; nodes without any are left out. Machines with one node, or
// that do not say, have one entry (or none). `folder` is where Linux describes them.
std::vector<std::vector<int>> numa_nodes(const std::string& folder = "/sys/devices/system/node");

// "0-3,8" -> {0, 1, 2, 3, 8}, as the kernel writes lists of CPUs; what does not read as such ends the list.
std::vector<int> parse_cpu_list(const std::string& text);

}  // namespace bantam
