// A model from a hub into the cache: which files, download, links, revision. Called by cli; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "hub/cache.h"
#include "hub/hub_client.h"
#include "hub/names.h"

namespace bantam::hub {

struct PulledModel {
  std::string repo, commit, path;  // path: what opens it
  Choice choice;                   // indices into files
  std::vector<RemoteFile> files;   // the chosen ones
  int64_t downloaded_bytes = 0;
};

// Whoever watches a pull. Calls come from the pulling thread.
class PullWatcher {
 public:
  virtual ~PullWatcher() = default;
  // What will be downloaded, before the first byte; some of it may be here already. An error ends the pull.
  virtual Status on_plan(const PulledModel& plan) = 0;
  // `read_back`: they were here from an earlier run.
  virtual void on_bytes(size_t index, int64_t bytes_here, bool read_back) = 0;
  virtual void on_waiting(size_t index) = 0;  // another program downloads this file
  // A file is whole, at `path`. An error ends the pull.
  virtual Status on_done(size_t index, const std::string& path, bool was_here) = 0;
};

struct PullOptions {
  bool verify = false;  // read files that are here already and compare their hash; bad ones are downloaded again
};

Result<PulledModel> pull(HubClient& client, const Cache& cache, const ModelName& name, const PullOptions& options,
                         PullWatcher& watcher);

}  // namespace bantam::hub
