// LineLoopDetector: whether text goes round in circles line by line, where the tokens between differ too much for a
// fixed period. A line counts as stale when it was there at least kTimes times among the last kWindow lines; kStale of
// them in a row are a loop. Spaces, case and short lines do not matter. Owned by ThinkingGovernor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>

namespace bantam::engine {

class LineLoopDetector {
 public:
  // Takes the next bytes. True when they complete a loop's last line.
  bool push(std::string_view bytes);

 private:
  bool end_line();

  static constexpr size_t kWindow = 128;
  static constexpr int64_t kTimes = 3, kStale = 12, kMinBytes = 8;

  uint64_t hash_ = 0;  // of the line so far
  int64_t bytes_ = 0;  // that count
  int64_t stale_ = 0;
  std::deque<uint64_t> recent_;
};

}  // namespace bantam::engine
