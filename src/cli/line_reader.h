// Input of commands: lines of a file or of stdin, and whole texts from stdin. Ctrl+C ends a wait for input. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/options.h"

namespace bantam::cli {

inline constexpr size_t kMaxLineBytes = size_t{256} << 20;

// Reads lines of a file or of stdin ("-"), one at a time, so input of any length streams. Of a line longer than
// kMaxLineBytes the rest is dropped.
class LineReader {
 public:
  static Result<LineReader> open(const std::string& path);
  LineReader(LineReader&& other) noexcept;
  LineReader& operator=(LineReader&&) = delete;
  ~LineReader();
  // False at the end and after Ctrl+C. The line comes without its newline (and carriage return).
  bool next(std::string* line);
  // True when next() would not have to wait for somebody to write.
  bool ready();
  int64_t number() const { return number_; }  // of the last line, from 1

 private:
  LineReader() = default;
  bool fill();  // false at the end of the input
  int fd_ = -1;
  bool owned_ = false, ended_ = false;
  std::string buffer_;
  size_t begin_ = 0;    // of the next line in buffer_
  size_t scanned_ = 0;  // no newline in [begin_, scanned_)
  int64_t number_ = 0;
};

// Asks on the terminal, where the question's last line stands, and reads one line; false at the end of the input.
// kCancelled after Ctrl+C.
Result<bool> ask(const std::string& question, std::string* answer);

// All of stdin. On a terminal `what` ("the prompt") says what is waited for. kCancelled after Ctrl+C.
Result<std::string> read_stdin(const OutputOptions& output, std::string_view what);

}  // namespace bantam::cli
