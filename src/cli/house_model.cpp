// The embedded house model's files (models/nano).
#include "cli/model_catalogue.h"
#include "embedded/nano_files.h"

namespace bantam::cli {

const std::vector<std::pair<std::string, std::string_view>>& house_model_files() {
  static const auto files = nano_files();
  return files;
}

}  // namespace bantam::cli
