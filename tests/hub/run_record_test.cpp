// What running servers leave for others to read, and that the dead do not stay listed.
#include "hub/run_record.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/mmap.h"

namespace bantam::hub {
namespace {

namespace fs = std::filesystem;

class RunRecordTest : public ::testing::Test {
 protected:
  void SetUp() override { fs::remove_all(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  const std::string folder_ = fs::path(::testing::TempDir()) / "bantam-runs" / "bantam";
};

TEST_F(RunRecordTest, LivesAsLongAsItsOwner) {
  {
    RunRecord record;
    record.url = "http://127.0.0.1:8080";
    record.models = {{"qwen \"4b\"", 2'500'000'000}};
    auto file = RunFile::create(folder_, record);
    ASSERT_TRUE(file.ok()) << file.status().message();
    EXPECT_EQ(fs::status(folder_).permissions(), fs::perms::owner_all);
    auto runs = list_runs(folder_);
    ASSERT_EQ(runs.size(), 1u);
    EXPECT_EQ(runs[0].pid, ::getpid());
    EXPECT_EQ(runs[0].url, record.url);
    EXPECT_GT(runs[0].started_s, 1'000'000'000);
    ASSERT_EQ(runs[0].models.size(), 1u);
    EXPECT_EQ(runs[0].models[0].name, "qwen \"4b\"");
    EXPECT_EQ(runs[0].models[0].bytes, 2'500'000'000);
    ASSERT_TRUE(file->update({}).ok());
    EXPECT_TRUE(list_runs(folder_)[0].models.empty());
  }
  EXPECT_TRUE(list_runs(folder_).empty());
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(RunRecordTest, TheDeadAndThoseWhoseNumberAnotherHasAreSwept) {
  RunRecord record;
  auto file = RunFile::create(folder_, record);
  ASSERT_TRUE(file.ok());
  std::ofstream(folder_ + "/1.json") << R"({"pid":1,"ticks":123456789,"url":"x","started":1,"models":[]})";
  std::ofstream(folder_ + "/2.json") << R"({"pid":999999999,"ticks":1,"url":"x","started":1,"models":[]})";
  std::ofstream(folder_ + "/3.json") << "{\"pid\":";
  std::ofstream(folder_ + "/4.json") << R"({"pid":-1})";
  EXPECT_EQ(list_runs(folder_).size(), 1u);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(RunRecordTest, NoFolderIsNoServer) {
  EXPECT_TRUE(list_runs(folder_ + "/nowhere").empty());
}

}  // namespace
}  // namespace bantam::hub
