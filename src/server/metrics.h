// What the server counts, printed for Prometheus. I/O thread only.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace bantam::server {

// Counts of values by upper bound; bounds in seconds.
class Histogram {
 public:
  void observe(double seconds);
  void print(std::string* out, std::string_view name, std::string_view help) const;

 private:
  static constexpr std::array kBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                         0.5,   1.0,    2.5,   5.0,  10.0,  30.0, 60.0};
  std::array<int64_t, kBounds.size()> counts_{};  // not cumulated
  int64_t total_ = 0;
  double sum_ = 0;
};

struct Metrics {
  Histogram first_token_s, inter_token_s, request_s;
  int64_t prompt_tok = 0, cached_tok = 0, generated_tok = 0, reasoning_tok = 0;
  int64_t cancelled = 0, rejected = 0;
  std::map<std::pair<std::string, int>, int64_t> answers;  // by route pattern and status

  // Text format 0.0.4; `gauges`: name, help, value of what is read at the moment.
  struct Gauge {
    std::string_view name, help;
    double value = 0;
    bool counter = false;
  };
  std::string print(std::span<const Gauge> gauges) const;
};

}  // namespace bantam::server
