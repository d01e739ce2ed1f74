// See line_loop_detector.h.
#include "engine/line_loop_detector.h"

#include <algorithm>

namespace bantam::engine {

bool LineLoopDetector::push(std::string_view bytes) {
  bool loop = false;
  for (const char c : bytes) {
    if (c == '\n') {
      loop = end_line() || loop;
    } else if (c != ' ' && c != '\t' && c != '\r') {
      const char folded = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      hash_ = (hash_ ^ static_cast<uint8_t>(folded)) * 0x100000001b3u;  // FNV-1a
      ++bytes_;
    }
  }
  return loop;
}

bool LineLoopDetector::end_line() {
  if (bytes_ >= kMinBytes) {
    const auto times = std::count(recent_.begin(), recent_.end(), hash_);
    stale_ = times >= kTimes ? stale_ + 1 : 0;
    recent_.push_back(hash_);
    if (recent_.size() > kWindow) recent_.pop_front();
  }
  hash_ = 0;
  bytes_ = 0;
  return stale_ >= kStale;
}

}  // namespace bantam::engine
