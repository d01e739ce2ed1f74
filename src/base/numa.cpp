// See numa.h.
#include "base/numa.h"

#include <fmt/format.h>
#include <sched.h>

#include <charconv>
#include <fstream>

namespace bantam {
namespace {

constexpr int kMaxNodes = 64, kMaxCpus = 1 << 16;

const char* read_cpu(const char* at, const char* end, int* out) {
  const auto [next, error] = std::from_chars(at, end, *out);
  return error == std::errc() && *out >= 0 && *out < kMaxCpus ? next : nullptr;
}

}  // namespace

std::vector<int> parse_cpu_list(const std::string& text) {
  std::vector<int> cpus;
  const char *at = text.data(), *const end = at + text.size();
  while (at < end) {
    int first = 0;
    at = read_cpu(at, end, &first);
    if (at == nullptr) break;
    int last = first;
    if (at < end && *at == '-') {
      at = read_cpu(at + 1, end, &last);
      if (at == nullptr) break;
    }
    for (int cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
    if (at == end || *at != ',') break;
    ++at;
  }
  return cpus;
}

std::vector<std::vector<int>> numa_nodes(const std::string& folder) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return {};
  std::vector<std::vector<int>> nodes;
  for (int node = 0; node < kMaxNodes; ++node) {
    std::ifstream file(fmt::format("{}/node{}/cpulist", folder, node));
    std::string text;
    if (!std::getline(file, text)) continue;
    std::vector<int> cpus;
    for (int cpu : parse_cpu_list(text)) {
      if (cpu < CPU_SETSIZE && CPU_ISSET(cpu, &allowed)) cpus.push_back(cpu);
    }
    if (!cpus.empty()) nodes.push_back(std::move(cpus));
  }
  return nodes;
}

}  // namespace bantam
