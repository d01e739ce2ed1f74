// Files that appear whole or not at all, and the fingerprint that tells contents apart.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <vector>

#include "base/hash.h"
#include "base/mmap.h"

namespace bantam {
namespace {

namespace fs = std::filesystem;

class AtomicFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / "bantam-atomic-file";
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  size_t files() const { return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), {})); }
  fs::path folder_;
};

TEST_F(AtomicFileTest, AppearsWhenCommittedWithoutATrace) {
  for (const auto sync : {AtomicFile::Sync::kDisk, AtomicFile::Sync::kSkip}) {
    const std::string path = folder_ / "a";
    {
      auto file = AtomicFile::create(path);
      ASSERT_TRUE(file.ok());
      ASSERT_TRUE(file->write("hello ").ok());
      ASSERT_TRUE(file->pad_to(8).ok());
      ASSERT_TRUE(file->write("you").ok());
      ASSERT_TRUE(file->write_at(0, std::as_bytes(std::span("H", 1))).ok());
      EXPECT_FALSE(file_exists(path));
      ASSERT_TRUE(file->commit(sync).ok());
    }
    EXPECT_EQ(*read_file(path), std::string("Hello \0\0you", 11));
    EXPECT_EQ(files(), 1u);
    fs::remove(path);
  }
}

TEST_F(AtomicFileTest, AnAbandonedOneLeavesNothingAndTheOldOneStays) {
  const std::string path = folder_ / "a";
  auto first = AtomicFile::create(path);
  ASSERT_TRUE(first->write("old").ok() && first->commit().ok());
  {
    auto second = AtomicFile::create(path);
    ASSERT_TRUE(second->write("new").ok());
  }
  EXPECT_EQ(*read_file(path), "old");
  EXPECT_EQ(files(), 1u);
}

TEST_F(AtomicFileTest, ABareNameIsInTheWorkingFolder) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_);
  auto file = AtomicFile::create("bare");
  const bool written = file->write("x").ok() && file->commit().ok();
  fs::current_path(before);
  EXPECT_TRUE(written);
  EXPECT_TRUE(file_exists(folder_ / "bare"));
}

TEST(Fingerprint, EveryBitAndTheLengthCount) {
  std::vector<std::byte> bytes(200, std::byte{0});
  std::set<uint64_t> seen;
  for (size_t size = 0; size <= bytes.size(); ++size) {
    EXPECT_TRUE(seen.insert(Fingerprint::of(std::span(bytes).first(size))).second) << size << " zeros";
  }
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    EXPECT_TRUE(seen.insert(Fingerprint::of(bytes)).second) << "bit " << bit;
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
  }
  EXPECT_NE(Fingerprint::of(bytes, 1), Fingerprint::of(bytes, 2));
}

TEST(Fingerprint, BlocksInAnotherOrderAreOthers) {
  std::vector<std::byte> a(256), b(256);
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<std::byte>(i);
  for (size_t i = 0; i < a.size(); ++i) b[i] = a[(i + 64) % 256];
  EXPECT_NE(Fingerprint::of(a), Fingerprint::of(b));
  std::swap(a, b);
  EXPECT_NE(Fingerprint::of(a), Fingerprint::of(b));
}

TEST(Fingerprint, SequencesKeepTheirSeams) {
  const auto of = [](auto... parts) {
    Fingerprint f;
    (f.add(parts), ...);
    return f.value();
  };
  const std::string_view ab = "ab", c = "c", a = "a", bc = "bc";
  EXPECT_NE(of(ab, c), of(a, bc));
  EXPECT_NE(of(ab, c), of(c, ab));
  EXPECT_NE(of(uint64_t{0}), of(uint64_t{0}, uint64_t{0}));
  EXPECT_NE(of(uint64_t{1}, uint64_t{2}), of(uint64_t{2}, uint64_t{1}));
}

// A fixed value: cache files of other builds and machines hold fingerprints.
TEST(Fingerprint, TheSameEverywhere) {
  std::vector<std::byte> bytes(1000);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7);
  EXPECT_EQ(Fingerprint::of(bytes), Fingerprint::of(bytes));
  EXPECT_EQ(Fingerprint::of(bytes), 0xA0F3608EB4019627u);
}

}  // namespace
}  // namespace bantam
