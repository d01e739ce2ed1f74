// The journalled file: what survives a kill, what is not believed, and that only the right bytes get the name.
#include "hub/partial_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <numeric>

#include "base/mmap.h"
#include "base/rng.h"

namespace bantam::hub {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kBlock = 4096;

class PartialFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / "bantam-partial-file";
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    Philox random(7);
    bytes_.resize(3 * kBlock + 100);
    for (std::byte& b : bytes_) b = static_cast<std::byte>(random.next());
    ContentHash hash(std::string(64, '0'), 0);
    hash.add(bytes_);
    spec_.hash = hash.hex();
    spec_.path = folder_ / spec_.hash;
    spec_.name = "model with spaces.gguf";
    spec_.bytes = static_cast<int64_t>(bytes_.size());
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::unique_ptr<PartialFile> open(int64_t block_bytes = kBlock) const {
    auto file = PartialFile::open(spec_, block_bytes, nullptr);
    EXPECT_TRUE(file.ok()) << file.status().message();
    return std::move(*file);
  }
  Status write(PartialFile& file, int64_t block) const {
    return file.write(block, std::span(bytes_).subspan(static_cast<size_t>(block * kBlock),
                                                       static_cast<size_t>(file.size_of(block))));
  }
  std::string data_path() const { return PartialFile::data_path(spec_.path); }
  std::string journal_path() const { return PartialFile::journal_path(spec_.path); }
  void damage(const std::string& path, int64_t at) const {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(at);
    const char old = static_cast<char>(file.get());
    file.seekp(at);
    file.put(static_cast<char>(old ^ 4));
  }

  fs::path folder_;
  std::vector<std::byte> bytes_;
  BlobSpec spec_;
};

TEST_F(PartialFileTest, InAnyOrderOverManyStarts) {
  for (const int64_t block : {2, 0, 3, 1}) {
    const auto file = open();
    EXPECT_FALSE(file->has(block));
    ASSERT_TRUE(write(*file, block).ok());
    EXPECT_FALSE(file_exists(spec_.path));
  }
  const auto file = open();
  EXPECT_TRUE(file->complete());
  EXPECT_EQ(file->bytes_done(), spec_.bytes);
  EXPECT_TRUE(*file->finish());
  const std::string got = *read_file(spec_.path);
  EXPECT_EQ(got, std::string(reinterpret_cast<const char*>(bytes_.data()), bytes_.size()));
  EXPECT_FALSE(file_exists(data_path()) || file_exists(journal_path()));
}

TEST_F(PartialFileTest, AJournalKeepsItsBlockSize) {
  ASSERT_TRUE(write(*open(), 1).ok());
  const auto file = open(65536);
  EXPECT_EQ(file->block_bytes(), kBlock);
  EXPECT_TRUE(file->has(1));
}

// A power cut can leave a journal that promises more than the disk kept.
TEST_F(PartialFileTest, BlocksThatAreNotWhatTheyWereAreNotBelieved) {
  {
    const auto file = open();
    for (int64_t block = 0; block < 4; ++block) ASSERT_TRUE(write(*file, block).ok());
  }
  damage(data_path(), kBlock + 17);
  fs::resize_file(data_path(), 3 * kBlock + 50);
  const auto file = open();
  EXPECT_TRUE(file->has(0) && file->has(2));
  EXPECT_FALSE(file->has(1) || file->has(3));
  ASSERT_TRUE(write(*file, 1).ok() && write(*file, 3).ok());
  EXPECT_TRUE(*file->finish());
}

TEST_F(PartialFileTest, AnyTornJournalIsHarmless) {
  {
    const auto file = open();
    for (int64_t block = 0; block < 4; ++block) ASSERT_TRUE(write(*file, block).ok());
  }
  const std::string journal = *read_file(journal_path());
  for (size_t size = 0; size <= journal.size(); ++size) {
    std::ofstream(journal_path(), std::ios::binary) << journal.substr(0, size);
    std::ofstream(data_path(), std::ios::binary).write(reinterpret_cast<const char*>(bytes_.data()), spec_.bytes);
    auto file = open();
    for (int64_t block = 0; block < 4; ++block) ASSERT_TRUE(write(*file, block).ok());
    file.reset();
    file = open();  // what was appended after the torn line reads back
    EXPECT_TRUE(file->complete()) << size;
  }
}

TEST_F(PartialFileTest, AJournalOfOtherContentsMeansNothing) {
  for (const std::string& text : {std::string("bantam-journal 1 ") + std::string(64, 'a') + " 12388 4096 x\n0 0\n",
                                  std::string("nonsense\n"), std::string("bantam-journal 1 "), std::string("\0\0\n", 3),
                                  "bantam-journal 1 " + spec_.hash + " 12388 99999999999999999999 x\n"}) {
    std::ofstream(journal_path(), std::ios::binary) << text;
    EXPECT_EQ(open()->bytes_done(), 0) << text;
  }
}

TEST_F(PartialFileTest, WrongBytesNeverGetTheName) {
  const auto file = open();
  bytes_[5000] ^= std::byte{1};
  for (int64_t block = 0; block < 4; ++block) ASSERT_TRUE(write(*file, block).ok());
  EXPECT_FALSE(*file->finish());
  EXPECT_NE(file->actual_hash(), spec_.hash);
  EXPECT_FALSE(file_exists(spec_.path));
  bytes_[5000] ^= std::byte{1};
  ASSERT_TRUE(file->restart().ok());
  EXPECT_EQ(file->bytes_done(), 0);
  for (int64_t block = 0; block < 4; ++block) ASSERT_TRUE(write(*file, block).ok());
  EXPECT_TRUE(*file->finish());
}

TEST_F(PartialFileTest, AnEmptyFile) {
  spec_ = {folder_ / "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", "LICENSE",
           0};
  const auto file = open();
  EXPECT_TRUE(file->complete());
  EXPECT_TRUE(*file->finish());
  EXPECT_EQ(*read_file(spec_.path), "");
}

TEST_F(PartialFileTest, UnfinishedOnesAreListed) {
  ASSERT_TRUE(write(*open(), 2).ok());
  const auto list = list_unfinished(folder_);
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].blob, spec_.path);
  EXPECT_EQ(list[0].name, spec_.name);
  EXPECT_EQ(list[0].bytes, spec_.bytes);
  EXPECT_EQ(list[0].bytes_done, kBlock);
}

}  // namespace
}  // namespace bantam::hub
