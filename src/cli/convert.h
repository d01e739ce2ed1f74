// From one container and type of weights to another: the work of convert and quantize, and of pull when it quantises.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/options.h"

namespace bantam::cli {

struct ConvertOptions {
  std::string in, out, type;  // type "": every tensor keeps its own
  bool pure = false, force = false;
  OutputOptions output;
};

// Writes options.out, whole or not at all. With errors it also prints what each tensor lost, to stdout.
Status convert_model(const ConvertOptions& options, bool with_errors);

}  // namespace bantam::cli
