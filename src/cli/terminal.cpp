// See terminal.h.
#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cli/interrupt.h"

namespace bantam::cli {

bool stdout_is_tty() {
  return ::isatty(STDOUT_FILENO) != 0;
}
bool stderr_is_tty() {
  return ::isatty(STDERR_FILENO) != 0;
}
bool stdin_is_tty() {
  return ::isatty(STDIN_FILENO) != 0;
}

bool use_color(const OutputOptions& options, bool is_tty) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::strcmp(term, "dumb") == 0;
  return is_tty && !options.no_color && !dumb && (no_color == nullptr || *no_color == '\0');
}

int terminal_columns() {
  struct winsize size {};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

std::string human_bytes(int64_t bytes) {
  constexpr const char* kUnits[] = {"bytes", "kB", "MB", "GB", "TB"};
  if (bytes < 1000) return fmt::format("{} bytes", bytes);
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 999.5 && unit < 4) {
    value /= 1000;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0, kUnits[unit]);
}

std::string with_commas(int64_t value) {
  std::string digits = fmt::format("{}", value);
  const int stop = value < 0 ? 1 : 0;
  for (int at = static_cast<int>(digits.size()) - 3; at > stop; at -= 3) digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

void note(const OutputOptions& options, std::string_view text) {
  if (!options.quiet && (options.log_level == "info" || options.log_level == "debug")) {
    fmt::print(stderr, "{}\n", text);
  }
}

void detail(const OutputOptions& options, std::string_view text) {
  if (options.log_level == "debug") fmt::print(stderr, "debug: {}\n", text);
}

void write_answer(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) interrupted() = true;
}

void warn(const OutputOptions& options, std::string_view text) {
  if (options.log_level == "error") return;
  const bool color = use_color(options, stderr_is_tty());
  fmt::print(stderr, "{}warning:{} {}\n", color ? "\033[33m" : "", color ? "\033[0m" : "", text);
}

std::string progress_blocks(double share, int width) {
  const int filled = static_cast<int>(share * width + 0.5);
  std::string out;
  for (int i = 0; i < width; ++i) out += i < filled ? "█" : "░";
  return out;
}

ProgressBar::ProgressBar(const OutputOptions& options, std::string label, std::string unit)
    : enabled_(stderr_is_tty() && !options.quiet && options.log_level != "error" && use_color(options, true)),
      label_(std::move(label)),
      unit_(std::move(unit)) {}

ProgressBar::~ProgressBar() {
  clear();
}

void ProgressBar::update(int64_t done, int64_t total) {
  const double now = since_start_.elapsed_ms();
  if (!enabled_ || now < 300 || total <= 0 || (now - last_ms_ < 100 && done < total)) return;
  last_ms_ = now;
  const double share = std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0);
  const bool bytes = unit_ == "bytes";
  const std::string amount = bytes ? fmt::format("{} / {}", human_bytes(done), human_bytes(total))
                                   : fmt::format("{} / {} {}", with_commas(done), with_commas(total), unit_);
  const double rate = static_cast<double>(done) / (now / 1000);
  const std::string speed =
      bytes ? human_bytes(static_cast<int64_t>(rate)) + "/s" : fmt::format("{:.0f} {}/s", rate, unit_);
  const int width =
      std::max(8, std::min(30, terminal_columns() - static_cast<int>(label_.size() + amount.size()) - 24));
  fmt::print(stderr, "\r\033[K{} {} {:3.0f}% {} {}", label_, progress_blocks(share, width), share * 100, amount, speed);
  std::fflush(stderr);
  drawn_ = true;
}

void ProgressBar::clear() {
  if (drawn_) {
    fmt::print(stderr, "\r\033[K");
    std::fflush(stderr);
  }
  drawn_ = false;
}

}  // namespace bantam::cli
