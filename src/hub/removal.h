// Removing models from the cache: first a plan that can be shown, then the deed. What another snapshot or another type
// of weights still uses stays. Called by `rm`; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "hub/cache.h"
#include "hub/names.h"

namespace bantam::hub {

struct Removal {
  std::vector<std::string> what;   // for people: files, or the repository
  std::vector<std::string> paths;  // to unlink, or folders to remove with all that is in them
  int64_t bytes = 0;               // that will be free
};

// A name with a type of weights means those files only, in every snapshot; else the whole repository. kBadInput when
// there is nothing of it, kFailed when it is being downloaded right now.
Result<Removal> plan_removal(const Cache& cache, const ModelName& name);
Status remove(const Removal& removal);

}  // namespace bantam::hub
