// See metrics.h. Source of the format: Prometheus, "Exposition formats", text-based.
#include "server/metrics.h"

#include <fmt/format.h>

namespace bantam::server {
namespace {

void header(std::string* out, std::string_view name, std::string_view help, std::string_view type) {
  *out += fmt::format("# HELP bantam_{0} {1}\n# TYPE bantam_{0} {2}\n", name, help, type);
}

}  // namespace

void Histogram::observe(double seconds) {
  ++total_;
  sum_ += seconds;
  for (size_t i = 0; i < kBounds.size(); ++i) {
    if (seconds > kBounds[i]) continue;
    ++counts_[i];
    return;
  }
}

void Histogram::print(std::string* out, std::string_view name, std::string_view help) const {
  header(out, name, help, "histogram");
  int64_t below = 0;
  for (size_t i = 0; i < kBounds.size(); ++i) {
    below += counts_[i];
    *out += fmt::format("bantam_{}_bucket{{le=\"{}\"}} {}\n", name, kBounds[i], below);
  }
  *out += fmt::format("bantam_{0}_bucket{{le=\"+Inf\"}} {1}\nbantam_{0}_sum {2}\nbantam_{0}_count {1}\n", name, total_,
                      sum_);
}

std::string Metrics::print(std::span<const Gauge> gauges) const {
  std::string out;
  const auto counter = [&](std::string_view name, std::string_view help, int64_t value) {
    header(&out, name, help, "counter");
    out += fmt::format("bantam_{} {}\n", name, value);
  };
  counter("prompt_tokens_total", "prompt tokens of ended answers", prompt_tok);
  counter("cached_tokens_total", "prompt tokens taken from the prefix cache", cached_tok);
  counter("generated_tokens_total", "tokens generated", generated_tok);
  counter("reasoning_tokens_total", "generated tokens that were thinking", reasoning_tok);
  counter("cancelled_total", "answers ended because the client went away", cancelled);
  counter("rejected_total", "requests refused because the queue was full", rejected);
  header(&out, "responses_total", "responses by route and status", "counter");
  for (const auto& [key, count] : answers) {
    out += fmt::format("bantam_responses_total{{route=\"{}\",status=\"{}\"}} {}\n", key.first, key.second, count);
  }
  for (const Gauge& gauge : gauges) {
    header(&out, gauge.name, gauge.help, gauge.counter ? "counter" : "gauge");
    out += fmt::format("bantam_{} {}\n", gauge.name, gauge.value);
  }
  first_token_s.print(&out, "time_to_first_token_seconds", "from the request to its first token");
  inter_token_s.print(&out, "inter_token_seconds", "between two tokens of an answer");
  request_s.print(&out, "request_seconds", "from the request to the end of its answer");
  return out;
}

}  // namespace bantam::server
