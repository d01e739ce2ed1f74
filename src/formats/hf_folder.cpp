// Implementation of hf_folder.h.
#include "formats/hf_folder.h"

#include <algorithm>

namespace bantam::formats {

bool is_plain_file_name(std::string_view name) {
  if (name.empty() || name.size() > 255 || name == "." || name == "..") return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte != 0x7F && c != '/' && c != '\\';
  });
}

}  // namespace bantam::formats
