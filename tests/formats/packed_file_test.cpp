// The packed cache's file: what was written comes back, and every way of being damaged is told from it.
#include "formats/packed_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/mmap.h"

namespace bantam::formats {
namespace {

namespace fs = std::filesystem;

class PackedFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / "bantam-packed-file";
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    path_ = folder_ / "file";
    blob_.resize(static_cast<size_t>(2 * PackedFile::kPieceBytes + 12345));
    uint32_t state = 1;
    for (std::byte& b : blob_) b = static_cast<std::byte>((state = state * 1664525u + 1013904223u) >> 24);
  }
  void TearDown() override { fs::remove_all(folder_); }

  Status write(std::span<const std::byte> blob, bool stopped = false) {
    const std::atomic<bool> stop = stopped;
    return write_packed_file(path_, {"0123", "a \"model\"", "q4_0", static_cast<int64_t>(blob.size())}, blob, stop);
  }
  // Reads everything back.
  Result<std::vector<std::byte>> read() const {
    auto file = PackedFile::open(path_);
    if (!file.ok()) return file.status();
    std::vector<std::byte> out(static_cast<size_t>(file->info().bytes));
    for (int64_t i = 0; i < file->pieces(); ++i) {
      const auto begin = static_cast<size_t>(i * PackedFile::kPieceBytes);
      const Status status = file->read(i, std::span(out).subspan(begin, static_cast<size_t>(file->piece_bytes(i))));
      if (!status.ok()) return status;
    }
    return out;
  }
  void flip(uint64_t at) const {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(byte ^ 16));
  }

  fs::path folder_;
  std::string path_;
  std::vector<std::byte> blob_;
};

TEST_F(PackedFileTest, ComesBackAsWritten) {
  for (size_t size : {size_t{0}, size_t{1}, static_cast<size_t>(PackedFile::kPieceBytes), blob_.size()}) {
    const auto blob = std::span(blob_).first(size);
    ASSERT_TRUE(write(blob).ok());
    const auto file = PackedFile::open(path_);
    ASSERT_TRUE(file.ok()) << file.status().message();
    EXPECT_EQ(file->info().key, "0123");
    EXPECT_EQ(file->info().model, "a \"model\"");
    EXPECT_EQ(file->info().type, "q4_0");
    const auto back = read();
    ASSERT_TRUE(back.ok()) << back.status().message();
    EXPECT_TRUE(std::equal(back->begin(), back->end(), blob.begin(), blob.end())) << size;
  }
}

TEST_F(PackedFileTest, AFlippedBitAnywhereIsNoticed) {
  ASSERT_TRUE(write(blob_).ok());
  const uint64_t size = fs::file_size(path_), blob_at = size - blob_.size();
  // The head and the table byte by byte; the blob here and there, first and last byte of each piece among them.
  std::vector<uint64_t> places;
  for (uint64_t at = 0; at < 200; ++at) places.push_back(at);
  for (uint64_t piece = 0; piece < 3; ++piece) {
    const uint64_t begin = blob_at + piece * PackedFile::kPieceBytes;
    for (uint64_t at : {begin, begin + 777, std::min(begin + PackedFile::kPieceBytes, size) - 1}) places.push_back(at);
  }
  int unnoticed = 0;
  for (uint64_t at : places) {
    flip(at);
    const auto back = read();
    if (back.ok()) {
      ++unnoticed;  // zeros between table and blob
      EXPECT_TRUE(std::equal(back->begin(), back->end(), blob_.begin(), blob_.end())) << at;
    } else {
      EXPECT_EQ(back.status().code(), ErrorCode::kBadInput) << back.status().message();
      EXPECT_NE(back.status().message().find(path_), std::string::npos) << back.status().message();
    }
    flip(at);
  }
  EXPECT_LT(unnoticed, 110);
  EXPECT_TRUE(read().ok());
}

TEST_F(PackedFileTest, PiecesInEachOthersPlaceAreNoticed) {
  ASSERT_TRUE(write(blob_).ok());
  std::string text = *read_file(path_);
  const size_t at = text.size() - blob_.size(), piece = PackedFile::kPieceBytes;
  const std::string first = text.substr(at, piece);
  text.replace(at, piece, text.substr(at + piece, piece)).replace(at + piece, piece, first);
  std::ofstream(path_, std::ios::binary) << text;
  EXPECT_EQ(read().status().code(), ErrorCode::kBadInput);
}

TEST_F(PackedFileTest, CutExtendedForeignAndEmptyFilesAreRefused) {
  ASSERT_TRUE(write(blob_).ok());
  const uint64_t size = fs::file_size(path_);
  for (uint64_t cut : {uint64_t{0}, uint64_t{5}, uint64_t{39}, uint64_t{100}, uint64_t{4096}, size - 1, size + 1}) {
    fs::resize_file(path_, cut);
    EXPECT_EQ(PackedFile::open(path_).status().code(), ErrorCode::kBadInput) << cut;
    ASSERT_TRUE(write(blob_).ok());
  }
  std::ofstream(path_, std::ios::binary) << std::string(10000, 'x');
  EXPECT_EQ(PackedFile::open(path_).status().code(), ErrorCode::kBadInput);
  // Counts that no file has room for must not become allocations.
  std::string head = "bantam packed 1\n" + std::string(10000, '\xff');
  std::ofstream(path_, std::ios::binary) << head;
  EXPECT_EQ(PackedFile::open(path_).status().code(), ErrorCode::kBadInput);
}

TEST_F(PackedFileTest, StoppedWritingLeavesNothing) {
  EXPECT_EQ(write(blob_, /*stopped=*/true).code(), ErrorCode::kCancelled);
  EXPECT_TRUE(fs::is_empty(folder_));
}

}  // namespace
}  // namespace bantam::formats
