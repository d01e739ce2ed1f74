// See transfer_bars.h.
#include "cli/transfer_bars.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cli/terminal.h"

namespace bantam::cli {
namespace {

constexpr double kDrawEveryMs = 100, kLineEveryMs = 10'000;

// The end of a name, which tells files apart.
std::string shortened(const std::string& name, size_t width) {
  return name.size() <= width ? name : "…" + name.substr(name.size() - width + 1);
}

}  // namespace

void RateWindow::add(double now_ms, int64_t bytes) {
  points_.emplace_back(now_ms, bytes);
  while (points_.size() > 2 && now_ms - points_[1].first >= kSpanMs) points_.pop_front();
}

double RateWindow::per_second() const {
  if (points_.size() < 2 || points_.back().first <= points_.front().first) return 0;
  return 1000.0 * static_cast<double>(points_.back().second - points_.front().second) /
         (points_.back().first - points_.front().first);
}

std::string human_duration(double seconds) {
  const auto s = static_cast<int64_t>(std::llround(std::clamp(seconds, 0.0, 1e9)));
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {} s", s / 60, s % 60);
  if (s < 86400) return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
  return fmt::format("{} d {} h", s / 86400, s % 86400 / 3600);
}

TransferBars::TransferBars(const OutputOptions& options, std::vector<File> files)
    : options_(options),
      files_(std::move(files)),
      here_(files_.size(), 0),
      bars_(stderr_is_tty() && !options.quiet && options.log_level != "error" && use_color(options, true)) {
  for (const File& file : files_) total_ += file.bytes;
}

TransferBars::~TransferBars() {
  clear();
}

int64_t TransferBars::whole_here() const {
  int64_t out = 0;
  for (const int64_t bytes : here_) out += bytes;
  return out;
}

std::string TransferBars::line(const std::string& label, int64_t here, int64_t total, bool with_rate) const {
  const double share = total > 0 ? std::clamp(static_cast<double>(here) / static_cast<double>(total), 0.0, 1.0) : 1;
  std::string tail = fmt::format("{:3.0f}% {} / {}", 100 * share, human_bytes(here), human_bytes(total));
  const double rate = rate_.per_second();
  if (with_rate && rate > 0) {
    tail += fmt::format("  {}/s", human_bytes(static_cast<int64_t>(rate)));
    tail += fmt::format("  {} left", human_duration(static_cast<double>(total_ - whole_here()) / rate));
  }
  const int room = terminal_columns() - static_cast<int>(label.size() + tail.size()) - 3;
  const int width = std::clamp(room, 0, 30);
  return fmt::format("{} {}{}{}", label, width < 5 ? "" : progress_blocks(share, width), width < 5 ? "" : " ", tail);
}

void TransferBars::draw(size_t index) {
  const size_t name_width = static_cast<size_t>(std::clamp(terminal_columns() / 3, 12, 44));
  const bool several = files_.size() > 1;
  // Lines that are too long for a narrow terminal are cut off by it, not wrapped: the next drawing finds its place.
  fmt::print(stderr, "\033[?7l\r\033[K{}",
             line(shortened(files_[index].name, name_width), here_[index], files_[index].bytes, !several));
  if (several) {
    const std::string label = fmt::format("{} of {} files", finished_, files_.size());
    fmt::print(stderr, "\n\033[K{}\033[1A", line(label, whole_here(), total_, true));
  }
  fmt::print(stderr, "\033[?7h");
  std::fflush(stderr);
  drawn_ = true;
}

void TransferBars::clear() {
  if (drawn_) {
    fmt::print(stderr, "\r\033[J");
    std::fflush(stderr);
  }
  drawn_ = false;
}

void TransferBars::update(size_t index, int64_t bytes_here, bool read_back) {
  const double now = clock_.elapsed_ms();
  if (read_back) rate_ = RateWindow();
  here_[index] = bytes_here;
  rate_.add(now, whole_here());
  if (bars_ && now - last_draw_ms_ >= kDrawEveryMs) {
    last_draw_ms_ = now;
    draw(index);
  } else if (!bars_ && now - last_line_ms_ >= kLineEveryMs) {
    last_line_ms_ = now;
    const double rate = rate_.per_second();
    note(options_, fmt::format("{}: {} of {}, {}/s, {} left in all", files_[index].name, human_bytes(bytes_here),
                               human_bytes(files_[index].bytes), human_bytes(static_cast<int64_t>(rate)),
                               rate > 0 ? human_duration(static_cast<double>(total_ - whole_here()) / rate) : "?"));
  }
}

void TransferBars::done(size_t index, const std::string& remark) {
  here_[index] = files_[index].bytes;
  ++finished_;
  clear();
  note(options_, fmt::format("{}  {}  {}", files_[index].name, human_bytes(files_[index].bytes), remark));
}

}  // namespace bantam::cli
