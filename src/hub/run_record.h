// What a running server tells others on this machine: one small file per process, PID.json, in a folder that belongs to
// its user. `serve` writes its own, `ps` reads them all; what a killed process left behind is swept up by the reader.
// One thread per object; any number of processes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace bantam::hub {

struct RunningModel {
  std::string name;
  int64_t bytes = 0;  // of memory: weights
};

struct RunRecord {
  int pid = 0;
  std::string url;
  int64_t started_s = 0;  // since 1970
  std::vector<RunningModel> models;
};

// This process's record while it lives. Moving is fine, copying is not.
class RunFile {
 public:
  // Makes the folder (for its user alone) and the file; pid and started_s are filled in.
  static Result<RunFile> create(const std::string& folder, RunRecord record);
  RunFile(RunFile&& other) noexcept : path_(std::exchange(other.path_, {})), record_(std::move(other.record_)) {}
  RunFile& operator=(RunFile&&) = delete;
  ~RunFile();
  // When models come and go.
  Status update(std::vector<RunningModel> models);

 private:
  RunFile() = default;
  Status write() const;
  std::string path_;
  RunRecord record_;
};

// The records of processes that live, the oldest first. Files of dead ones are removed.
std::vector<RunRecord> list_runs(const std::string& folder);

}  // namespace bantam::hub
