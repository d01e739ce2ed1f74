// Another program, run to its end: what it printed, how long it took, how much memory it held. Called by `bantam bench`
// for its peers and for starts of bantam itself. One thread. A child never outlives this process: it is killed with
// everything it started when its time is over, when the user interrupts, and by the kernel when this process dies.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bantam::cli {

struct ChildReport {
  int exit_code = 0;           // 128 + n when signal n ended it
  std::string out;             // stdout
  std::string err;             // the end of stderr, at most kErrBytes
  double first_output_ms = 0;  // from start to the first byte on stdout; to the end when there was none
  double wall_ms = 0;          // from start to end
  int64_t peak_rss_bytes = 0;  // of the largest process among the child and its children
  static constexpr size_t kErrBytes = 8192;
  static constexpr size_t kOutBytes = size_t{16} << 20;  // more is an error
};

// argv[0] is looked up as a shell does; `input` (at most 4096 bytes) is its stdin. Errors: it cannot be started, runs
// longer than limit_s seconds, prints too much, or the user interrupted. An exit code that is not 0 is no error here.
Result<ChildReport> run_child(const std::vector<std::string>& argv, std::string_view input, double limit_s);

// How a run went, in one line for error messages: its exit code and the last lines that it printed.
std::string quote(const ChildReport& report);

}  // namespace bantam::cli
