// Models that this machine quantised from safetensors: FOLDER/ORG--REPO/REPO-TYPE.gguf. Files in the user's own data,
// not in the shared cache, where only what came from the hub belongs. Stateless; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hub/names.h"

namespace bantam::hub {

struct QuantizedModel {
  std::string repo, quant, path;
  int64_t bytes = 0, modified_s = 0;
};

// Where the file of a type is or would be. REQUIRES: is_repo(repo); `quant` in any case, a plain word.
std::string quantized_path(const std::string& folder, const std::string& repo, const std::string& quant);
std::vector<QuantizedModel> list_quantized(const std::string& folder);
// Those that a name means: of its repository, and of its type when it names one.
std::vector<QuantizedModel> find_quantized(const std::string& folder, const ModelName& name);

}  // namespace bantam::hub
