// The rows of `bantam bench` as a CSV history, appended to by --csv and compared with by --check. One line per engine
// and work; the header names the columns, and a file with other columns is refused rather than mixed. One thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/bench_report.h"

namespace bantam::cli {

// Appends the rows, peers below ours, with a header line when the file is new. `commit` is bantam's.
Status append_csv(const std::string& path, const std::string& commit, const MachineLimits& machine,
                  const BenchModel& model, const std::vector<BenchRow>& rows);

// What the history says about this machine and model: the last line of each (work, engine, flags) whose cpu, isa,
// threads, model, type, numerics and kv are these.
class BenchHistory {
 public:
  static Result<BenchHistory> read(const std::string& path, const MachineLimits& machine, const BenchModel& model);
  // The works of all of bantam's lines, of any machine and model.
  static Result<std::vector<BenchWork>> works_in(const std::string& path);
  // The works of bantam's own lines, in the order of the file.
  const std::vector<BenchWork>& works() const { return works_; }
  // The share of the limit (bantam's line) or the ratio (a peer's); null where the history has no such line.
  const double* limit_share(const BenchWork& work) const;
  const double* ratio(const BenchWork& work, const std::string& engine, const std::string& flags) const;

 private:
  std::vector<BenchWork> works_;
  std::map<std::string, double> figures_;
};

// One comparison. Shares and ratios are better when greater: `ok` unless now is below committed by more than the
// tolerance.
struct CheckLine {
  std::string what;
  double now = 0, committed = 0;
  bool ok = true;
};
std::vector<CheckLine> compare(const BenchHistory& history, const std::vector<BenchRow>& rows, double tolerance);
// A table of the lines, and a Status: an error when a line is not ok, or when there was nothing to compare.
void print_check(const std::vector<CheckLine>& lines);
Status verdict(const std::vector<CheckLine>& lines, const std::string& path, double tolerance);

}  // namespace bantam::cli
