// See stop_matcher.h. Stop strings are few and short, so plain search is enough.
#include "engine/stop_matcher.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace bantam::engine {

std::string StopMatcher::push(const std::string& text) {
  if (stopped_) return {};
  if (stops_.empty()) return text;
  pending_ += text;
  size_t found = std::string::npos;
  for (const std::string& stop : stops_) {
    if (!stop.empty()) found = std::min(found, pending_.find(stop));
  }
  if (found != std::string::npos) {
    stopped_ = true;
    pending_.resize(found);
    return std::exchange(pending_, {});
  }
  size_t hold = 0;
  for (const std::string& stop : stops_) {
    for (size_t n = std::min(stop.size(), pending_.size()); n > hold; --n) {
      if (std::string_view(pending_).substr(pending_.size() - n) == std::string_view(stop).substr(0, n)) hold = n;
    }
  }
  std::string safe = pending_.substr(0, pending_.size() - hold);
  pending_.erase(0, safe.size());
  return safe;
}

std::string StopMatcher::finish() { return stopped_ ? std::string() : std::exchange(pending_, {}); }

}  // namespace bantam::engine
