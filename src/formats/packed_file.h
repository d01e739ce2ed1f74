// One file of the packed cache: a blob of bytes some earlier run prepared, under a key that says of what, with a
// fingerprint for every piece of it. Knows nothing about the bytes. Written and read by engine/packed_cache; nobody
// else keeps such files, and nothing is lost when one is thrown away.
//
//   "bantam packed 1\n"                     16 bytes
//   u64 bytes of the description, u64 number of pieces, u64 fingerprint of the two parts that follow
//   the description: JSON {"key","model","type","bytes"}, then zeros up to a multiple of 8
//   u64 fingerprint of each piece of kPieceBytes (the last one may be shorter), seeded with its number
//   zeros up to a multiple of 4096, then the blob; the file ends with it
// Integers are little-endian. A damaged, cut or foreign file is an error (kBadInput) when opened or, if the damage is
// in the blob, when the piece is read.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/source_file.h"

namespace bantam::formats {

struct PackedFileInfo {
  std::string key;          // what the blob was made of
  std::string model, type;  // for people: the model's name and its weights' type
  int64_t bytes = 0;        // of the blob
};

// Immutable after open; reading pieces is thread-safe. Move-only.
class PackedFile {
 public:
  // What one thread reads at a time: one huge page, so that two threads never wait for the same one to be cleared.
  static constexpr int64_t kPieceBytes = int64_t{2} << 20;

  static Result<PackedFile> open(const std::string& path);
  const PackedFileInfo& info() const { return info_; }
  int64_t pieces() const { return static_cast<int64_t>(fingerprints_.size()); }
  int64_t piece_bytes(int64_t piece) const;
  // Reads and checks one piece. REQUIRES: out.size() == piece_bytes(piece).
  Status read(int64_t piece, std::span<std::byte> out) const;

 private:
  PackedFile() = default;
  std::unique_ptr<SourceFile> file_;
  PackedFileInfo info_;
  std::vector<uint64_t> fingerprints_;
  uint64_t blob_at_ = 0;
};

// Writes the file, or nothing when it fails or `stop` is set meanwhile (kCancelled). Does not wait for the disk: what a
// power cut leaves of it is found out when it is read.
Status write_packed_file(const std::string& path, const PackedFileInfo& info, std::span<const std::byte> blob,
                         const std::atomic<bool>& stop);

}  // namespace bantam::formats
