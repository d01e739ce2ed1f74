// See stop_matcher.h. Stop strings are few and short, so plain search is enough.
#include "engine/stop_matcher.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace bantam::engine {

// Text is cut where the first stop string begins. A place at which a stop string is complete settles it; a place from
// which the text so far could still grow into one holds everything from there on, whatever is complete further right.
std::string StopMatcher::push(const std::string& text) {
  if (stopped_) return {};
  if (stops_.empty()) return text;
  pending_ += text;
  for (size_t at = 0; at < pending_.size(); ++at) {
    const std::string_view rest = std::string_view(pending_).substr(at);
    bool may_grow = false;
    for (const std::string& stop : stops_) {
      if (stop.empty()) continue;
      if (rest.starts_with(stop)) return cut(at);
      may_grow = may_grow || std::string_view(stop).starts_with(rest);
    }
    if (may_grow) {
      std::string safe = pending_.substr(0, at);
      pending_.erase(0, at);
      return safe;
    }
  }
  return std::exchange(pending_, {});
}

std::string StopMatcher::finish() {
  if (stopped_) return {};
  size_t first = std::string::npos;
  for (const std::string& stop : stops_) {
    if (!stop.empty()) first = std::min(first, pending_.find(stop));
  }
  return first == std::string::npos ? std::exchange(pending_, {}) : cut(first);
}

std::string StopMatcher::cut(size_t at) {
  stopped_ = true;
  pending_.resize(at);
  return std::exchange(pending_, {});
}

}  // namespace bantam::engine
