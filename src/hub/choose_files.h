// Which of a repository's files make up the model that was asked for. The same rule serves what a server lists and what
// the cache holds, so that a name means the same before and after the download. Pure; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "hub/names.h"

namespace bantam::hub {

struct FileEntry {
  std::string path;  // within the repository
  int64_t bytes = 0;
};

enum class ModelKind : uint8_t { kGguf, kSafetensors };

struct Choice {
  ModelKind kind = ModelKind::kGguf;
  std::string quant;          // of a GGUF, as its file name spells it; else ""
  std::vector<size_t> files;  // indices into the list; of a GGUF of several parts in their order
  int64_t bytes = 0;
};

// A GGUF (all its parts) of one type of weights.
struct GgufGroup {
  std::string quant;  // "Q4_K_M", "UD-Q4_K_XL"; "" when the name says none
  std::vector<size_t> files;
  int64_t bytes = 0;
  int64_t parts = 1;  // how many there should be
};
std::vector<GgufGroup> gguf_groups(const std::vector<FileEntry>& files);

// The files for `name` (its repo is only named in messages). kBadInput saying which types there are when the wanted one
// is not, or when nothing there can be run. A repository of safetensors is chosen for any quant: it can be quantised.
Result<Choice> choose_files(const std::vector<FileEntry>& files, const ModelName& name);

}  // namespace bantam::hub
