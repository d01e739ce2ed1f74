// Names of models: friendly ones from models/names.txt, and repositories, each with a revision and a type of weights if
// wanted. Pure functions over text; thread-safe. Called by pull, the cache and cli.
//
//   qwen3:4b   qwen3:4b:Q8_0   Qwen/Qwen3-4B-GGUF:Q6_K   Qwen/Qwen3-4B@refs/pr/1   hf.co/Qwen/Qwen3-4B-GGUF
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bantam::hub {

struct ModelName {
  std::string repo;               // "ORG/REPO", checked by is_repo
  std::string revision = "main";  // a branch, tag or commit, checked by is_revision
  std::string quant;              // "Q4_K_M"; empty: whatever is best there
  bool quant_is_wish = false;     // the user wrote it, rather than the table of names
  std::string text;               // as the user wrote it, for messages
};

// A row of models/names.txt.
struct FriendlyName {
  std::string name, repo, quant;
};
const std::vector<FriendlyName>& friendly_names();

// kUsage when it is no such name, with the nearest ones.
Result<ModelName> parse_model_name(std::string_view text);

// "ORG/REPO" of letters, digits, '-', '_' and '.', as the hub allows them; never a path.
bool is_repo(std::string_view text);
// A branch, tag or commit; parts between slashes are plain names.
bool is_revision(std::string_view text);
// A relative path whose parts are plain file names: what a repository may call a file. Nothing else may become part of
// a path on this machine.
bool is_safe_path(std::string_view path);

// What a file's name or ":..." can say about its weights: "Q4_K_M", "iq4_xs", "UD-Q4_K_XL", "BF16".
bool is_weight_type(std::string_view text);

std::string lower(std::string_view text);  // ASCII

}  // namespace bantam::hub
