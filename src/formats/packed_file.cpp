// See packed_file.h.
#include "formats/packed_file.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mmap.h"
#include "formats/describe.h"

namespace bantam::formats {
namespace {

static_assert(std::endian::native == std::endian::little, "the file's integers are the machine's");

constexpr std::string_view kMagic = "bantam packed 1\n";
constexpr uint64_t kHeadBytes = 16 + 3 * 8, kBlobAlignment = 4096;
constexpr uint64_t kMaxDescription = 64 << 10;

struct Head {
  uint64_t description_bytes = 0, pieces = 0, fingerprint = 0;
};

uint64_t padded(uint64_t bytes, uint64_t to) {
  return (bytes + to - 1) / to * to;
}
uint64_t table_at(const Head& head) {
  return kHeadBytes + padded(head.description_bytes, 8);
}
uint64_t blob_at(const Head& head) {
  return padded(table_at(head) + head.pieces * 8, kBlobAlignment);
}
uint64_t pieces_of(int64_t bytes) {
  return static_cast<uint64_t>((bytes + PackedFile::kPieceBytes - 1) / PackedFile::kPieceBytes);
}
uint64_t piece_fingerprint(std::span<const std::byte> bytes, int64_t piece) {
  return Fingerprint::of(bytes, static_cast<uint64_t>(piece) + 1);
}
uint64_t head_fingerprint(std::string_view description, std::span<const uint64_t> table) {
  Fingerprint f;
  f.add(description);
  f.add(std::as_bytes(table));
  return f.value();
}

Result<PackedFileInfo> parse_description(std::string_view text) {
  BANTAM_TRY_ASSIGN(const JsonValue json, parse_json(text, "description"));
  PackedFileInfo info;
  const auto read_text = [&](std::string_view name, std::string* out) -> Status {
    const JsonValue* value = json.find(name);
    if (value == nullptr || !value->is_string()) return bad_input("description: expected a text {}", name);
    *out = value->as_string();
    return {};
  };
  BANTAM_TRY(read_text("key", &info.key));
  BANTAM_TRY(read_text("model", &info.model));
  BANTAM_TRY(read_text("type", &info.type));
  const JsonValue* bytes = json.find("bytes");
  if (bytes == nullptr) return bad_input("description: expected a number bytes");
  BANTAM_TRY_ASSIGN(info.bytes, bytes->as_int64());
  return info;
}

std::string describe(const PackedFileInfo& info) {
  return to_json(JsonValue::object({{"key", JsonValue::string(info.key)},
                                    {"model", JsonValue::string(info.model)},
                                    {"type", JsonValue::string(info.type)},
                                    {"bytes", JsonValue::number(info.bytes)}}));
}

// The head of a file of `size` bytes, with counts that the file has room for.
Result<Head> read_head(const SourceFile& file, uint64_t size) {
  std::byte raw[kHeadBytes];
  if (size < sizeof raw) return bad_input("expected at least {} bytes, got {}", sizeof raw, size);
  BANTAM_TRY(file.read(0, raw));
  if (std::memcmp(raw, kMagic.data(), kMagic.size()) != 0) {
    return bad_input("expected a file starting with {:?}, got {:?}", kMagic,
                     printable({reinterpret_cast<const char*>(raw), kMagic.size()}));
  }
  Head head;
  std::memcpy(&head, raw + kMagic.size(), sizeof head);
  if (head.description_bytes > kMaxDescription || head.pieces > pieces_of(static_cast<int64_t>(size)) ||
      blob_at(head) > size) {
    return bad_input("expected a description of at most {} bytes and a table inside {} bytes, got {} and {} entries",
                     kMaxDescription, with_commas(size), with_commas(head.description_bytes), with_commas(head.pieces));
  }
  return head;
}

}  // namespace

Result<PackedFile> PackedFile::open(const std::string& path) {
  PackedFile out;
  BANTAM_TRY_ASSIGN(out.file_, SourceFile::open(path, path));
  const uint64_t size = out.file_->bytes().size();
  const auto load = [&]() -> Status {
    BANTAM_TRY_ASSIGN(const Head head, read_head(*out.file_, size));
    std::string description(static_cast<size_t>(head.description_bytes), '\0');
    out.fingerprints_.resize(static_cast<size_t>(head.pieces));
    BANTAM_TRY(out.file_->read(kHeadBytes, std::as_writable_bytes(std::span(description))));
    BANTAM_TRY(out.file_->read(table_at(head), std::as_writable_bytes(std::span(out.fingerprints_))));
    if (head_fingerprint(description, out.fingerprints_) != head.fingerprint) {
      return bad_input("the description or the table is damaged");
    }
    BANTAM_TRY_ASSIGN(out.info_, parse_description(description));
    out.blob_at_ = blob_at(head);
    if (out.info_.bytes < 0 || pieces_of(out.info_.bytes) != head.pieces ||
        size - out.blob_at_ != static_cast<uint64_t>(out.info_.bytes)) {
      return bad_input("expected {} bytes of weights, got {}", with_commas(static_cast<uint64_t>(out.info_.bytes)),
                       with_commas(size - out.blob_at_));
    }
    return {};
  };
  BANTAM_TRY(load().with_context(path));
  return out;
}

int64_t PackedFile::piece_bytes(int64_t piece) const {
  return std::min(kPieceBytes, info_.bytes - piece * kPieceBytes);
}

Status PackedFile::read(int64_t piece, std::span<std::byte> out) const {
  BANTAM_CHECK(piece >= 0 && piece < pieces() && static_cast<int64_t>(out.size()) == piece_bytes(piece));
  BANTAM_TRY(file_->read(blob_at_ + static_cast<uint64_t>(piece * kPieceBytes), out));
  if (piece_fingerprint(out, piece) == fingerprints_[static_cast<size_t>(piece)]) return {};
  return bad_input("{}: the weights are damaged between byte {} and {}", file_->name(),
                   with_commas(blob_at_ + static_cast<uint64_t>(piece * kPieceBytes)),
                   with_commas(blob_at_ + static_cast<uint64_t>(piece * kPieceBytes) + out.size()));
}

Status write_packed_file(const std::string& path, const PackedFileInfo& info, std::span<const std::byte> blob,
                         const std::atomic<bool>& stop) {
  BANTAM_CHECK(info.bytes == static_cast<int64_t>(blob.size()));
  const std::string description = describe(info);
  std::vector<uint64_t> table(static_cast<size_t>(pieces_of(info.bytes)));
  Head head{description.size(), table.size(), 0};
  if (head.description_bytes > kMaxDescription) return failed("{}: the description is too long", path);
  BANTAM_TRY_ASSIGN(AtomicFile file, AtomicFile::create(path));
  BANTAM_TRY(file.pad_to(blob_at(head)));
  for (size_t piece = 0; piece < table.size(); ++piece) {
    if (stop.load(std::memory_order_relaxed)) return make_error(ErrorCode::kCancelled, "{}: stopped", path);
    const size_t begin = piece * static_cast<size_t>(PackedFile::kPieceBytes);
    const std::span bytes = blob.subspan(begin, std::min<size_t>(PackedFile::kPieceBytes, blob.size() - begin));
    table[piece] = piece_fingerprint(bytes, static_cast<int64_t>(piece));
    BANTAM_TRY(file.write(bytes));
  }
  head.fingerprint = head_fingerprint(description, table);
  BANTAM_TRY(file.write_at(0, std::as_bytes(std::span(kMagic))));
  BANTAM_TRY(file.write_at(kMagic.size(), std::as_bytes(std::span(&head, 1))));
  BANTAM_TRY(file.write_at(kHeadBytes, std::as_bytes(std::span(description))));
  BANTAM_TRY(file.write_at(table_at(head), std::as_bytes(std::span(table))));
  return file.commit(AtomicFile::Sync::kSkip);
}

}  // namespace bantam::formats
