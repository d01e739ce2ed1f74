// The files around a model, on disk or in memory, looked up by plain name. Lets one reader serve both. Used only while
// a Checkpoint opens.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "formats/source_file.h"

namespace bantam::formats {

class FileSet {
 public:
  virtual ~FileSet() = default;
  virtual bool has(std::string_view name) const = 0;
  // kBadInput when there is no such file.
  virtual Result<std::unique_ptr<SourceFile>> open(std::string_view name) const = 0;
  // For messages: the folder's path, or "(embedded)".
  virtual const std::string& path() const = 0;
};

}  // namespace bantam::formats
