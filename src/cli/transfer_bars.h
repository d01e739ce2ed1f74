// Progress of several files that come one after another: on a terminal a bar for the file at hand and one for the
// whole, with rate and time left, above them a line for each file that is there; elsewhere a plain line per file and
// one every ten seconds. On stderr. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "cli/options.h"

namespace bantam::cli {

// Bytes per second over the last few seconds, so that the figure follows the line and not the whole past.
class RateWindow {
 public:
  void add(double now_ms, int64_t bytes);  // bytes: the total so far
  double per_second() const;               // 0 while unknown

 private:
  static constexpr double kSpanMs = 5000;
  std::deque<std::pair<double, int64_t>> points_;
};

// "12 s", "3 min 20 s", "2 h 5 min": at most two units.
std::string human_duration(double seconds);

class TransferBars {
 public:
  struct File {
    std::string name;
    int64_t bytes = 0;
  };
  TransferBars(const OutputOptions& options, std::vector<File> files);
  ~TransferBars();
  // Bytes that are read back from an earlier run do not count as speed.
  void update(size_t index, int64_t bytes_here, bool read_back);
  void done(size_t index, const std::string& remark);  // "SHA-256 is right", "was here"
  void clear();                                        // before somebody else writes to stderr

 private:
  void draw(size_t index);
  std::string line(const std::string& label, int64_t here, int64_t total, bool with_rate) const;
  int64_t whole_here() const;

  OutputOptions options_;
  std::vector<File> files_;
  std::vector<int64_t> here_;
  int64_t total_ = 0;
  size_t finished_ = 0;
  bool bars_, drawn_ = false;
  RateWindow rate_;
  Stopwatch clock_;
  double last_draw_ms_ = -1e9, last_line_ms_ = 0;
};

}  // namespace bantam::cli
