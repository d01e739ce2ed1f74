// available_memory_bytes against folders that look like /proc and /sys/fs/cgroup of several kernels.
#include "engine/memory_info.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace bantam::engine {
namespace {

constexpr int64_t kGiB = int64_t{1} << 30;

class MemoryInfo : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/memory_info_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    write("proc/meminfo", meminfo(16 * kGiB, 8 * kGiB));
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  static std::string meminfo(int64_t total, int64_t available) {
    return "MemTotal: " + std::to_string(total / 1024) +
           " kB\nMemFree: 1 kB\nMemAvailable: " + std::to_string(available / 1024) + " kB\nHugePages_Total: 0\n";
  }
  void write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = root_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  int64_t available() const { return available_memory_bytes({root_ / "proc", root_ / "cgroup"}); }

  std::filesystem::path root_;
};

TEST_F(MemoryInfo, NineTenthsOfMemAvailable) {
  EXPECT_EQ(available(), 8 * kGiB / 10 * 9);
}

TEST_F(MemoryInfo, NothingReadableMeansALargeNumber) {
  std::filesystem::remove_all(root_ / "proc");
  EXPECT_GT(available(), int64_t{1} << 60);
}

TEST_F(MemoryInfo, VersionTwoParentsCountAndCachesAreGivenBack) {
  write("proc/self/cgroup", "0::/user/app\n");
  write("cgroup/user/app/memory.max", "max\n");
  write("cgroup/user/app/memory.current", "5\n");
  write("cgroup/user/memory.max", std::to_string(4 * kGiB));
  write("cgroup/user/memory.current", std::to_string(3 * kGiB));
  write("cgroup/user/memory.stat", "anon 7\ninactive_file 100\nactive_file 20\nslab_reclaimable 3\nshmem 9\n");
  EXPECT_EQ(available(), (kGiB + 123) / 10 * 9);
}

TEST_F(MemoryInfo, VersionOneOwnGroup) {
  write("proc/self/cgroup", "3:cpu:/\n4:memory:/box/1\n0::/\n");
  write("cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("cgroup/memory/memory.usage_in_bytes", "1\n");
  write("cgroup/memory/box/1/memory.limit_in_bytes", std::to_string(2 * kGiB));
  write("cgroup/memory/box/1/memory.usage_in_bytes", std::to_string(kGiB));
  write("cgroup/memory/box/1/memory.stat", "inactive_file 5\ntotal_inactive_file 70\n");
  EXPECT_EQ(available(), (kGiB + 70) / 10 * 9);
}

TEST_F(MemoryInfo, AHostPathThatIsNotMountedFallsBackToTheMountsRoot) {
  write("proc/self/cgroup", "0::/kubepods/pod1/abc\n");
  write("cgroup/memory.max", std::to_string(3 * kGiB));
  write("cgroup/memory.current", std::to_string(kGiB));
  EXPECT_EQ(available(), 2 * kGiB / 10 * 9);
}

// Kernels that count every cached page as used can say that nothing is free on an idle machine.
TEST_F(MemoryInfo, AForecastOfNothingStillLetsASmallModelTry) {
  write("proc/meminfo", meminfo(16 * kGiB, 0));
  EXPECT_EQ(available(), kForecastFloorBytes);
}

TEST_F(MemoryInfo, TheFloorRespectsASmallHardLimit) {
  write("cgroup/memory.max", std::to_string(kGiB / 4));
  write("cgroup/memory.current", std::to_string(kGiB / 4));
  EXPECT_EQ(available(), kGiB / 16);
}

}  // namespace
}  // namespace bantam::engine
