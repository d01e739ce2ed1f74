// Memory nodes from a folder laid out as Linux does, and the lists of CPUs in it.
#include "base/numa.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <filesystem>
#include <fstream>

namespace bantam {
namespace {

TEST(Numa, CpuLists) {
  EXPECT_EQ(parse_cpu_list("0"), (std::vector<int>{0}));
  EXPECT_EQ(parse_cpu_list("0-3,8,10-11"), (std::vector<int>{0, 1, 2, 3, 8, 10, 11}));
  EXPECT_EQ(parse_cpu_list(""), std::vector<int>{});
  EXPECT_EQ(parse_cpu_list("2-x"), std::vector<int>{});
  EXPECT_EQ(parse_cpu_list("5,-1"), (std::vector<int>{5}));
  EXPECT_EQ(parse_cpu_list("1-99999999999"), std::vector<int>{}) << "a damaged list must not become a large one";
}

TEST(Numa, NodesWithoutUsableCpusAreLeftOut) {
  cpu_set_t allowed;
  ASSERT_EQ(::sched_getaffinity(0, sizeof allowed, &allowed), 0);
  int first = 0;
  while (!CPU_ISSET(first, &allowed)) ++first;
  const std::string folder = ::testing::TempDir() + "bantam-numa-nodes";
  const auto describe = [&](int node, const std::string& cpus) {
    const std::string path = folder + "/node" + std::to_string(node);
    std::filesystem::create_directories(path);
    std::ofstream(path + "/cpulist") << cpus << "\n";
  };
  describe(0, std::to_string(first));
  describe(1, "");      // memory only
  describe(2, "1023");  // not of this process
  describe(5, std::to_string(first));
  EXPECT_EQ(numa_nodes(folder), (std::vector<std::vector<int>>{{first}, {first}}));
  std::filesystem::remove_all(folder);
  EXPECT_TRUE(numa_nodes(folder).empty());
}

}  // namespace
}  // namespace bantam
