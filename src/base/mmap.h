// Files as bytes: read-only mappings, whole-file reads, and writers whose output appears under its final name only
// when complete. Owners are move-only; views into a mapping live as long as it does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bantam {

class MappedFile {
 public:
  static Result<MappedFile> open(const std::string& path);
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::string path_;
};

// The whole file as text; error when it is larger than max_bytes.
Result<std::string> read_file(const std::string& path, uint64_t max_bytes = uint64_t{256} << 20);
bool file_exists(const std::string& path);
bool is_directory(const std::string& path);

// Makes the names in the folder of `path` durable, after a rename there.
Status sync_folder_of(const std::string& path);

// Writes PATH.part-PID, fsyncs and renames on commit(), then fsyncs the folder, so that after a power cut the name is
// there too; removes it when destroyed uncommitted. So a kill, a full disk or an error never leaves a half-written file
// under the final name.
class AtomicFile {
 public:
  static Result<AtomicFile> create(const std::string& path);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();
  Status write(std::span<const std::byte> bytes);
  Status write(std::string_view text);
  Status pad_to(uint64_t offset);  // zeros up to that offset; REQUIRES: offset >= offset()
  Status write_at(uint64_t offset, std::span<const std::byte> bytes);  // patches bytes already written
  uint64_t offset() const { return offset_; }
  // kSkip leaves the rest to the system: for files that are checked when read and can be made again.
  enum class Sync : uint8_t { kDisk, kSkip };
  Status commit(Sync sync = Sync::kDisk);

 private:
  AtomicFile() = default;
  Status flush();
  int fd_ = -1;
  uint64_t offset_ = 0;
  std::string path_, temporary_, buffer_;
};

}  // namespace bantam
