// A blob on its way into the cache: HASH.bantam.incomplete with its journal beside it, HASH.bantam.journal. The journal
// has one line per block that is on disk, with the block's fingerprint, so that whoever goes on after a kill or a power
// cut believes only bytes that are still what they were. The file takes its final name when the hash of the whole is
// the one that was promised; nothing else ever gets that name.
//
// Not `HASH.incomplete`: that is huggingface_hub's name for a file without holes. One thread, under the blob's lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "hub/content_hash.h"

namespace bantam::hub {

struct BlobSpec {
  std::string path;  // of the finished blob; its last part is `hash`
  std::string hash;
  std::string name;  // the file's name in its repository, for messages and for `ls`
  int64_t bytes = 0;
};

class PartialFile {
 public:
  // Goes on with what is there or begins. A journal's own block size wins over `block_bytes`. Reads back what is there;
  // `on_check(bytes so far)` is called now and then and may return false: kCancelled.
  static Result<std::unique_ptr<PartialFile>> open(BlobSpec spec, int64_t block_bytes,
                                                   const std::function<bool(int64_t)>& on_check);
  ~PartialFile();
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  int64_t blocks() const { return static_cast<int64_t>(done_.size()); }
  int64_t block_bytes() const { return block_bytes_; }
  int64_t size_of(int64_t block) const;
  bool has(int64_t block) const { return done_[static_cast<size_t>(block)]; }
  bool complete() const { return missing_ == 0; }
  int64_t bytes_done() const { return bytes_done_; }

  // REQUIRES: bytes.size() == size_of(block). kNoSpace keeps what is journalled.
  Status write(int64_t block, std::span<const std::byte> bytes);
  // Forgets everything.
  Status restart();
  // REQUIRES: complete(). True: the blob has its name. False: the hash is another one; restart() or give up.
  Result<bool> finish();
  const std::string& actual_hash() const { return actual_hash_; }

  static std::string data_path(const std::string& blob) { return blob + ".bantam.incomplete"; }
  static std::string journal_path(const std::string& blob) { return blob + ".bantam.journal"; }

 private:
  PartialFile(BlobSpec spec, int64_t block_bytes);
  Status open_files();
  void adopt_block_size();
  Status read_journal(const std::function<bool(int64_t)>& on_check);
  Status begin_journal();
  Status read_block(int64_t block, std::vector<std::byte>* out) const;
  Status advance_hash(int64_t fresh, std::span<const std::byte> bytes);
  void mark(int64_t block);
  Status system_error(const char* what, int error) const;

  BlobSpec spec_;
  int64_t block_bytes_;
  int data_fd_ = -1, journal_fd_ = -1;
  std::vector<bool> done_;
  int64_t missing_ = 0, bytes_done_ = 0;
  ContentHash hash_;  // of the blocks before hashed_
  int64_t hashed_ = 0;
  std::string actual_hash_;
};

// What journals in a folder of blobs tell: downloads that were not finished.
struct Unfinished {
  std::string blob, name;
  int64_t bytes = 0, bytes_done = 0;
};
std::vector<Unfinished> list_unfinished(const std::string& blobs_folder);

}  // namespace bantam::hub
