// One input file of a checkpoint: its bytes (mapped from disk, or borrowed from memory) under a name for messages.
// Used by the readers of this room and by Checkpoint, which owns the sources so that every view into them stays valid.
// Immutable after open, so readable from any thread; never moves (views and tensors point to it).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/mmap.h"
#include "base/result.h"

namespace bantam::formats {

class SourceFile {
 public:
  // Maps the file at `path`. The file stays open, so that later reads and size checks meet the same inode.
  static Result<std::unique_ptr<SourceFile>> open(const std::string& path, std::string name);
  // REQUIRES: bytes outlive the source.
  static std::unique_ptr<SourceFile> borrow(std::string name, std::string_view bytes);
  ~SourceFile();
  SourceFile(const SourceFile&) = delete;
  SourceFile& operator=(const SourceFile&) = delete;

  const std::string& name() const { return name_; }  // plain file name, for messages
  std::span<const std::byte> bytes() const { return bytes_; }
  std::string_view text() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }

  // When the file on disk was last written, in ns since 1970, as of open(); 0 for borrowed bytes.
  int64_t modified_ns() const { return modified_ns_; }

  // Copies bytes [offset, offset + out.size()) by pread, so a file that someone cut short is an error here and not a
  // SIGBUS. REQUIRES: the range lies inside bytes().
  Status read(uint64_t offset, std::span<std::byte> out) const;
  // kFailed when the file on disk no longer has the size that was mapped.
  Status verify_size() const;
  // Drops the range's resident pages (they return on the next touch).
  void release(uint64_t offset, uint64_t size) const;

 private:
  SourceFile() = default;
  std::string name_;
  MappedFile mapped_;
  std::span<const std::byte> bytes_;
  int64_t modified_ns_ = 0;
  int fd_ = -1;
};

}  // namespace bantam::formats
