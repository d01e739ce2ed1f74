// When to try again: waits that double, the server's own wish when it names one, and an end after so many failures in a
// row without progress. Plain data; one thread.
#pragma once

#include <algorithm>
#include <optional>

namespace bantam::hub {

class Retry {
 public:
  Retry(int limit, double backoff_s) : limit_(limit), backoff_s_(backoff_s) {}

  // Seconds to wait before the next try; nothing when it is time to give up.
  std::optional<double> next(double retry_after_s) {
    if (failures_ >= limit_ || retry_after_s > kLongestWish) return std::nullopt;
    const double wait = std::min(backoff_s_ * static_cast<double>(1 << std::min(failures_, 16)), kLongestWait);
    ++failures_;
    return std::max(wait, retry_after_s);
  }
  void progress() { failures_ = 0; }
  int failures() const { return failures_; }

 private:
  static constexpr double kLongestWait = 30, kLongestWish = 600;
  int limit_;
  double backoff_s_;
  int failures_ = 0;
};

}  // namespace bantam::hub
