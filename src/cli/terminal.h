// The terminal: what is a TTY, colours, the progress bar. A pipe gets plain lines and no escape codes. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "cli/options.h"

namespace bantam::cli {

bool stdout_is_tty();
bool stderr_is_tty();
bool stdin_is_tty();
// Colour on that stream: a TTY, no NO_COLOR, no --no-color, TERM not dumb.
bool use_color(const OutputOptions& options, bool is_tty);
int terminal_columns();

// "1.23 GB", "456 MB": decimal units, three digits.
std::string human_bytes(int64_t bytes);
// 1234567 -> "1,234,567".
std::string with_commas(int64_t value);

// On stderr: a note at --log-level info and debug unless quiet, a warning at all levels but error, a detail at debug.
void note(const OutputOptions& options, std::string_view text);
void warn(const OutputOptions& options, std::string_view text);
void detail(const OutputOptions& options, std::string_view text);

// Answer text, at once. When the reader is gone it raises the interrupt, so that nobody generates for nobody.
void write_answer(std::string_view text);

// A bar of that many characters, filled to share (0 to 1).
std::string progress_blocks(double share, int width);

// A one-line bar on stderr, drawn only on a TTY, not before 300 ms have passed, at most ten times a second; erased
// when done or destroyed.
class ProgressBar {
 public:
  ProgressBar(const OutputOptions& options, std::string label, std::string unit);
  ~ProgressBar();
  void update(int64_t done, int64_t total);
  void clear();

 private:
  bool enabled_;
  bool drawn_ = false;
  std::string label_, unit_;
  Stopwatch since_start_;
  double last_ms_ = -1e9;
};

}  // namespace bantam::cli
