// StopMatcher: finds the first stop string in text that arrives in pieces, holding back what may still become one.
// One object per stream.
#pragma once

#include <string>
#include <vector>

namespace bantam::engine {

class StopMatcher {
 public:
  explicit StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {}
  // Text that is safe to show. When a stop string is complete, the text before it, and stopped() is true from then on.
  std::string push(const std::string& text);
  // What was held back; a stop string in it still counts.
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  std::string cut(size_t at);
  std::vector<std::string> stops_;
  std::string pending_;
  bool stopped_ = false;
};

}  // namespace bantam::engine
