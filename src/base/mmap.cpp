// POSIX implementation of base/mmap.h.
#include "base/mmap.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/check.h"

namespace bantam {
namespace {

constexpr size_t kWriteBuffer = size_t{1} << 20;

Status io_error(std::string_view verb, const std::string& path, int error) {
  const ErrorCode code = error == ENOSPC || error == EDQUOT || error == EFBIG ? ErrorCode::kNoSpace
                         : verb != "create" && (error == ENOENT || error == EISDIR || error == EACCES)
                             ? ErrorCode::kBadInput  // the user's file; an output that cannot be made is failed work
                             : ErrorCode::kFailed;
  return make_error(code, "cannot {} {}: {}", verb, path, std::strerror(error));
}

Status write_all(int fd, const char* data, size_t size, const std::string& path) {
  while (size > 0) {
    const ssize_t n = ::write(fd, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return io_error("write", path, errno);
    data += n;
    size -= static_cast<size_t>(n);
  }
  return {};
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return io_error("open", path, errno);
  struct stat st {};
  if (::fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
    ::close(fd);
    return bad_input("cannot open {}: not a regular file", path);
  }
  MappedFile file;
  file.path_ = path;
  file.size_ = static_cast<size_t>(st.st_size);
  if (file.size_ > 0) {
    void* data = ::mmap(nullptr, file.size_, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
      const int error = errno;
      ::close(fd);
      file.size_ = 0;
      return io_error("map", path, error);
    }
    file.data_ = static_cast<const std::byte*>(data);
  }
  ::close(fd);
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), path_(std::move(other.path_)) {}
MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(path_, other.path_);
  return *this;
}
MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

Result<std::string> read_file(const std::string& path, uint64_t max_bytes) {
  BANTAM_TRY_ASSIGN(const MappedFile file, MappedFile::open(path));
  if (file.bytes().size() > max_bytes) {
    return bad_input("{}: expected at most {} bytes, got {}", path, max_bytes, file.bytes().size());
  }
  return std::string(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
}

bool file_exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored);
}
bool is_directory(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

// A folder that may not be read cannot be opened, and some file systems cannot sync one: the file itself is safe on
// disk then, and its name as safe as the system makes it.
Status sync_folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return {};
  const int error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  return error == 0 || error == EINVAL || error == EROFS || error == ENOTSUP ? Status()
                                                                             : io_error("sync", folder, error);
}

Result<AtomicFile> AtomicFile::create(const std::string& path) {
  AtomicFile file;
  file.path_ = path;
  file.temporary_ = fmt::format("{}.part-{}", path, ::getpid());
  file.fd_ = ::open(file.temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file.fd_ < 0) return io_error("create", path, errno);
  file.buffer_.reserve(kWriteBuffer);
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      offset_(other.offset_),
      path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      buffer_(std::move(other.buffer_)) {}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

Status AtomicFile::flush() {
  BANTAM_TRY(write_all(fd_, buffer_.data(), buffer_.size(), path_));
  buffer_.clear();
  return {};
}

Status AtomicFile::write(std::span<const std::byte> bytes) {
  return write(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

Status AtomicFile::write(std::string_view text) {
  offset_ += text.size();
  if (buffer_.size() + text.size() > kWriteBuffer) BANTAM_TRY(flush());
  if (text.size() >= kWriteBuffer) return write_all(fd_, text.data(), text.size(), path_);
  buffer_.append(text);
  return {};
}

Status AtomicFile::pad_to(uint64_t offset) {
  BANTAM_CHECK(offset >= offset_);
  static constexpr char kZeros[4096] = {};
  while (offset_ < offset) {
    BANTAM_TRY(
        write(std::string_view(kZeros, static_cast<size_t>(std::min<uint64_t>(sizeof kZeros, offset - offset_)))));
  }
  return {};
}

Status AtomicFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  BANTAM_CHECK(offset + bytes.size() <= offset_);
  BANTAM_TRY(flush());
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::pwrite(fd_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return io_error("write", path_, errno);
    done += static_cast<size_t>(n);
  }
  return {};
}

Status AtomicFile::commit(Sync sync) {
  BANTAM_TRY(flush());
  if (sync == Sync::kDisk && ::fsync(fd_) != 0) return io_error("sync", path_, errno);
  if (::close(std::exchange(fd_, -1)) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary_.c_str());
    return io_error("rename", path_, error);
  }
  return sync == Sync::kDisk ? sync_folder_of(path_) : Status();
}

}  // namespace bantam
