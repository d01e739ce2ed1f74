// See partial_file.h. A journal:
//
//   bantam-journal 1 HASH SIZE BLOCK_BYTES NAME
//   BLOCK FINGERPRINT                              (one line per block, in the order they came)
#include "hub/partial_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string_view>

#include "base/check.h"
#include "base/hash.h"
#include "base/mmap.h"

namespace bantam::hub {
namespace {

constexpr int64_t kLeastBlock = 4096, kMostBlock = int64_t{1} << 30;
constexpr std::string_view kMagic = "bantam-journal 1 ";

Status write_at(int fd, std::span<const std::byte> bytes, int64_t offset, int* error) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n =
        ::pwrite(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset) + static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      *error = n < 0 ? errno : ENOSPC;
      return failed("write");
    }
    done += static_cast<size_t>(n);
  }
  return {};
}

struct JournalHead {
  std::string hash, name;
  int64_t bytes = 0, block_bytes = 0;
};

// The next word of `text`, taken off it.
std::string_view take_word(std::string_view* text) {
  const size_t end = std::min(text->find(' '), text->size());
  const std::string_view out = text->substr(0, end);
  text->remove_prefix(std::min(end + 1, text->size()));
  return out;
}

template <class T>
bool read_number(std::string_view text, T* out, int base = 10) {
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), *out, base);
  return error == std::errc() && at == text.data() + text.size();
}

std::optional<JournalHead> read_head(std::string_view line) {
  if (!line.starts_with(kMagic)) return std::nullopt;
  line.remove_prefix(kMagic.size());
  JournalHead out;
  out.hash = take_word(&line);
  const bool numbers = read_number(take_word(&line), &out.bytes) && read_number(take_word(&line), &out.block_bytes);
  out.name = line;
  const bool fits = numbers && is_content_hash(out.hash) && out.bytes >= 0 && out.block_bytes >= kLeastBlock &&
                    out.block_bytes <= kMostBlock;
  return fits ? std::optional(out) : std::nullopt;
}

// The first line, and where the second begins.
std::optional<JournalHead> read_head_of(std::string_view text, size_t* rest) {
  const size_t end = text.find('\n');
  if (end == text.npos) return std::nullopt;
  *rest = end + 1;
  return read_head(text.substr(0, end));
}

}  // namespace

PartialFile::PartialFile(BlobSpec spec, int64_t block_bytes)
    : spec_(std::move(spec)),
      block_bytes_(std::clamp(block_bytes, kLeastBlock, kMostBlock)),
      hash_(spec_.hash, spec_.bytes) {}

PartialFile::~PartialFile() {
  if (data_fd_ >= 0) ::close(data_fd_);
  if (journal_fd_ >= 0) ::close(journal_fd_);
}

Status PartialFile::system_error(const char* what, int error) const {
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
    return no_space("{}: no room to write it ({}); {} of {} bytes are kept, make room and give the same command again",
                    spec_.name, std::strerror(error), bytes_done_, spec_.bytes);
  }
  return failed("cannot {} {}: {}", what, data_path(spec_.path), std::strerror(error));
}

Status PartialFile::open_files() {
  data_fd_ = ::open(data_path(spec_.path).c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (data_fd_ < 0) return system_error("open", errno);
  journal_fd_ = ::open(journal_path(spec_.path).c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
  return journal_fd_ < 0 ? system_error("open the journal of", errno) : Status();
}

void PartialFile::adopt_block_size() {
  const auto text = read_file(journal_path(spec_.path));
  size_t rest = 0;
  if (!text.ok()) return;
  const auto head = read_head_of(*text, &rest);
  if (head && head->hash == spec_.hash && head->bytes == spec_.bytes) block_bytes_ = head->block_bytes;
}

Result<std::unique_ptr<PartialFile>> PartialFile::open(BlobSpec spec, int64_t block_bytes,
                                                       const std::function<bool(int64_t)>& on_check) {
  std::unique_ptr<PartialFile> out(new PartialFile(std::move(spec), block_bytes));
  BANTAM_TRY(out->open_files());
  out->adopt_block_size();
  const int64_t blocks = (out->spec_.bytes + out->block_bytes_ - 1) / out->block_bytes_;
  out->done_.assign(static_cast<size_t>(blocks), false);
  out->missing_ = blocks;
  BANTAM_TRY(out->read_journal(on_check));
  return out;
}

int64_t PartialFile::size_of(int64_t block) const {
  return std::min(block_bytes_, spec_.bytes - block * block_bytes_);
}

Status PartialFile::read_block(int64_t block, std::vector<std::byte>* out) const {
  out->resize(static_cast<size_t>(size_of(block)));
  size_t done = 0;
  while (done < out->size()) {
    const ssize_t n = ::pread(data_fd_, out->data() + done, out->size() - done,
                              static_cast<off_t>(block * block_bytes_) + static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return system_error("read", n < 0 ? errno : EIO);
    done += static_cast<size_t>(n);
  }
  return {};
}

void PartialFile::mark(int64_t block) {
  done_[static_cast<size_t>(block)] = true;
  --missing_;
  bytes_done_ += size_of(block);
}

Status PartialFile::read_journal(const std::function<bool(int64_t)>& on_check) {
  BANTAM_TRY_ASSIGN(const std::string text, read_file(journal_path(spec_.path)));
  size_t at = 0;
  const auto head = read_head_of(text, &at);
  if (!head || head->hash != spec_.hash || head->bytes != spec_.bytes) return restart();
  std::vector<std::optional<uint64_t>> wanted(done_.size());
  for (size_t end = text.find('\n', at); end != text.npos; at = end + 1, end = text.find('\n', at)) {
    std::string_view line = std::string_view(text).substr(at, end - at);
    int64_t block = -1;
    uint64_t fingerprint = 0;
    if (read_number(take_word(&line), &block) && read_number(line, &fingerprint, 16) && block >= 0 &&
        block < blocks()) {
      wanted[static_cast<size_t>(block)] = fingerprint;
    }
  }
  std::vector<std::byte> bytes;
  for (int64_t block = 0; block < blocks(); ++block) {
    if (!wanted[static_cast<size_t>(block)] || !read_block(block, &bytes).ok()) continue;
    if (Fingerprint::of(bytes) != *wanted[static_cast<size_t>(block)]) continue;
    mark(block);
    BANTAM_TRY(advance_hash(block, bytes));
    if (on_check && !on_check(bytes_done_)) return make_error(ErrorCode::kCancelled, "interrupted");
  }
  // A torn last line must not run into the next one.
  if (!text.ends_with('\n') && ::write(journal_fd_, "\n", 1) != 1) return system_error("write the journal of", errno);
  return {};
}

Status PartialFile::begin_journal() {
  const std::string head = fmt::format("{}{} {} {} {}\n", kMagic, spec_.hash, spec_.bytes, block_bytes_, spec_.name);
  if (::ftruncate(journal_fd_, 0) != 0) return system_error("empty the journal of", errno);
  const ssize_t n = ::write(journal_fd_, head.data(), head.size());
  return n == static_cast<ssize_t>(head.size()) ? Status()
                                                : system_error("write the journal of", n < 0 ? errno : ENOSPC);
}

Status PartialFile::restart() {
  if (::ftruncate(data_fd_, 0) != 0) return system_error("empty", errno);
  done_.assign(done_.size(), false);
  missing_ = blocks();
  bytes_done_ = 0;
  hash_ = ContentHash(spec_.hash, spec_.bytes);
  hashed_ = 0;
  return begin_journal();
}

// Hashes in order, as far as blocks are there: the one that just came from memory, those after it from the page cache.
Status PartialFile::advance_hash(int64_t fresh, std::span<const std::byte> bytes) {
  std::vector<std::byte> read;
  while (hashed_ < blocks() && has(hashed_)) {
    if (hashed_ == fresh) {
      hash_.add(bytes);
    } else {
      BANTAM_TRY(read_block(hashed_, &read));
      hash_.add(read);
    }
    ++hashed_;
  }
  return {};
}

Status PartialFile::write(int64_t block, std::span<const std::byte> bytes) {
  BANTAM_CHECK(static_cast<int64_t>(bytes.size()) == size_of(block));
  if (has(block)) return {};
  int error = 0;
  if (!write_at(data_fd_, bytes, block * block_bytes_, &error).ok()) return system_error("write", error);
  const std::string line = fmt::format("{} {:016x}\n", block, Fingerprint::of(bytes));
  const ssize_t n = ::write(journal_fd_, line.data(), line.size());
  if (n != static_cast<ssize_t>(line.size())) return system_error("write the journal of", n < 0 ? errno : ENOSPC);
  mark(block);
  return advance_hash(block, bytes);
}

Result<bool> PartialFile::finish() {
  BANTAM_CHECK(complete() && hashed_ == blocks());
  struct stat st {};
  if (::fstat(data_fd_, &st) != 0) return system_error("look at", errno);
  actual_hash_ = hash_.hex();
  if (st.st_size != spec_.bytes || actual_hash_ != spec_.hash) return false;
  if (::fsync(data_fd_) != 0) {
    // What the system could not write it may have forgotten, and would then call clean: nothing of it is kept.
    const int error = errno;
    ::unlink(data_path(spec_.path).c_str());
    ::unlink(journal_path(spec_.path).c_str());
    return system_error("sync", error);
  }
  if (::rename(data_path(spec_.path).c_str(), spec_.path.c_str()) != 0) return system_error("rename", errno);
  ::unlink(journal_path(spec_.path).c_str());
  BANTAM_TRY(sync_folder_of(spec_.path));
  return true;
}

std::vector<Unfinished> list_unfinished(const std::string& blobs_folder) {
  constexpr std::string_view kSuffix = ".bantam.journal";
  std::vector<Unfinished> out;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(blobs_folder, ignored)) {
    const std::string path = entry.path();
    if (!path.ends_with(kSuffix)) continue;
    const auto text = read_file(path);
    size_t at = 0;
    const auto head = text.ok() ? read_head_of(*text, &at) : std::nullopt;
    if (!head) continue;
    Unfinished one{path.substr(0, path.size() - kSuffix.size()), head->name, head->bytes, 0};
    for (size_t end = text->find('\n', at); end != text->npos; end = text->find('\n', end + 1)) {
      one.bytes_done += head->block_bytes;
    }
    one.bytes_done = std::min(one.bytes_done, one.bytes);
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace bantam::hub
