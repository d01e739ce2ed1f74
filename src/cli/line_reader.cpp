// See line_reader.h. Plain read() instead of stdio, so that ready() knows what is buffered.
#include "cli/line_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/mmap.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"

namespace bantam::cli {
namespace {

constexpr size_t kReadBytes = size_t{1} << 16;

// Like read(), but -1 after Ctrl+C, also while it waits.
ssize_t read_some(int fd, char* out, size_t size) {
  while (wait_for_input(fd)) {
    const ssize_t n = ::read(fd, out, size);
    if (n >= 0 || errno != EINTR) return n;
  }
  return -1;
}

}  // namespace

Result<LineReader> LineReader::open(const std::string& path) {
  LineReader reader;
  if (path == "-") {
    reader.fd_ = STDIN_FILENO;
    return reader;
  }
  if (is_directory(path)) return bad_input("{}: expected a file of JSON lines, got a folder", path);
  reader.fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (reader.fd_ < 0) return bad_input("cannot open {}: {}", path, std::strerror(errno));
  reader.owned_ = true;
  return reader;
}

LineReader::LineReader(LineReader&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      owned_(std::exchange(other.owned_, false)),
      ended_(other.ended_),
      buffer_(std::move(other.buffer_)),
      begin_(other.begin_),
      scanned_(other.scanned_),
      number_(other.number_) {}

LineReader::~LineReader() {
  if (owned_) ::close(fd_);
}

bool LineReader::fill() {
  if (ended_) return false;
  buffer_.erase(0, begin_);
  scanned_ -= begin_;
  begin_ = 0;
  if (buffer_.size() > kMaxLineBytes) buffer_.resize(kMaxLineBytes);
  const size_t size = buffer_.size();
  scanned_ = std::min(scanned_, size);
  buffer_.resize(size + kReadBytes);
  const ssize_t n = read_some(fd_, buffer_.data() + size, kReadBytes);
  buffer_.resize(size + static_cast<size_t>(std::max<ssize_t>(n, 0)));
  if (n == 0 || (n < 0 && !interrupted())) ended_ = true;
  return n > 0;
}

bool LineReader::next(std::string* line) {
  size_t end;
  while ((end = buffer_.find('\n', scanned_)) == std::string::npos) {
    scanned_ = buffer_.size();
    if (fill()) continue;
    if (interrupted() || begin_ == buffer_.size()) return false;
    end = buffer_.size();  // the last line has no newline
    break;
  }
  line->assign(buffer_, begin_, end - begin_);
  if (line->ends_with('\r')) line->pop_back();
  begin_ = scanned_ = std::min(end + 1, buffer_.size());
  ++number_;
  return true;
}

bool LineReader::ready() {
  for (;;) {
    if (ended_ || buffer_.find('\n', scanned_) != std::string::npos) return true;
    struct pollfd wait {
      .fd = fd_, .events = POLLIN, .revents = 0
    };
    if (::poll(&wait, 1, 0) <= 0) return false;
    scanned_ = buffer_.size();
    fill();
  }
}

Result<bool> ask(const std::string& question, std::string* answer) {
  fmt::print(stderr, "{}", question);
  std::fflush(stderr);
  BANTAM_TRY_ASSIGN(LineReader reader, LineReader::open("-"));
  const bool answered = reader.next(answer);
  if (interrupted()) {
    fmt::print(stderr, "\n");
    return interrupted_status();
  }
  return answered;
}

Result<std::string> read_stdin(const OutputOptions& output, std::string_view what) {
  if (stdin_is_tty()) note(output, fmt::format("reading {} from the terminal; end it with Ctrl+D", what));
  std::string text;
  for (;;) {
    const size_t size = text.size();
    text.resize(size + kReadBytes);
    const ssize_t n = read_some(STDIN_FILENO, text.data() + size, kReadBytes);
    text.resize(size + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (interrupted()) return interrupted_status();
    if (n < 0) return failed("cannot read stdin: {}", std::strerror(errno));
    if (n == 0) return text;
  }
}

}  // namespace bantam::cli
