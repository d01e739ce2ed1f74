// POSIX implementation of source_file.h.
#include "formats/source_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "formats/describe.h"

namespace bantam::formats {

Result<std::unique_ptr<SourceFile>> SourceFile::open(const std::string& path, std::string name) {
  std::unique_ptr<SourceFile> file(new SourceFile);
  BANTAM_TRY_ASSIGN(file->mapped_, MappedFile::open(path));
  file->name_ = std::move(name);
  file->bytes_ = file->mapped_.bytes();
  file->fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file->fd_ < 0) return failed("cannot open {}: {}", path, std::strerror(errno));
  BANTAM_TRY(file->verify_size());
  struct stat st {};
  if (::fstat(file->fd_, &st) == 0) {
    file->modified_ns_ = static_cast<int64_t>(st.st_mtim.tv_sec) * 1'000'000'000 + st.st_mtim.tv_nsec;
  }
  return file;
}

std::unique_ptr<SourceFile> SourceFile::borrow(std::string name, std::string_view bytes) {
  std::unique_ptr<SourceFile> file(new SourceFile);
  file->name_ = std::move(name);
  file->bytes_ = std::as_bytes(std::span(bytes));
  return file;
}

SourceFile::~SourceFile() {
  if (fd_ >= 0) ::close(fd_);
}

Status SourceFile::read(uint64_t offset, std::span<std::byte> out) const {
  BANTAM_CHECK(offset <= bytes_.size() && out.size() <= bytes_.size() - offset);
  if (fd_ < 0) {
    if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return {};
  }
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("cannot read {} at byte {}: {}", name_, with_commas(offset + done), std::strerror(errno));
    if (n == 0) {
      return failed("{}: expected {} bytes at byte {}, got {}: the file was cut short while it was read", name_,
                    with_commas(out.size()), with_commas(offset), with_commas(done));
    }
    done += static_cast<size_t>(n);
  }
  return {};
}

Status SourceFile::verify_size() const {
  if (fd_ < 0) return {};
  struct stat st {};
  if (::fstat(fd_, &st) != 0) return failed("cannot examine {}: {}", name_, std::strerror(errno));
  if (static_cast<uint64_t>(st.st_size) == bytes_.size()) return {};
  return failed("{}: expected {} bytes as when it was opened, got {}: the file changed while it was read", name_,
                with_commas(bytes_.size()), with_commas(static_cast<uint64_t>(st.st_size)));
}

void SourceFile::release(uint64_t offset, uint64_t size) const {
  BANTAM_CHECK(offset <= bytes_.size() && size <= bytes_.size() - offset);
  if (fd_ < 0) return;
  // Whole pages inside the range only: neighbours may be in use.
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const uint64_t begin = (offset + page - 1) / page * page;
  const uint64_t end = (offset + size) / page * page;
  if (begin >= end) return;
  auto* address = const_cast<std::byte*>(bytes_.data() + begin);
  ::madvise(address, static_cast<size_t>(end - begin), MADV_DONTNEED);
}

}  // namespace bantam::formats
