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
  std::string finish();  // what was held back, when no stop string came
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string pending_;
  bool stopped_ = false;
};

}  // namespace bantam::engine
