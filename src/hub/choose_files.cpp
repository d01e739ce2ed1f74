// See choose_files.h.
#include "hub/choose_files.h"

#include <algorithm>
#include <array>
#include <map>

namespace bantam::hub {
namespace {

// What "the best there" means when nothing was asked for: small and good first, then less usual ones.
constexpr std::array<std::string_view, 14> kPreferred = {"q4_k_m", "q8_0", "q5_k_m", "q6_k", "q4_k_s", "q4_0", "q4_1",
                                                         "q5_k_s", "q5_0", "iq4_xs", "bf16", "f16",    "fp16", "f32"};

// Around the weights of a folder: what a run needs or a user wants to read.
constexpr std::array<std::string_view, 15> kFolderFiles = {"config.json",
                                                           "generation_config.json",
                                                           "tokenizer.json",
                                                           "tokenizer_config.json",
                                                           "vocab.json",
                                                           "merges.txt",
                                                           "added_tokens.json",
                                                           "chat_template.jinja",
                                                           "chat_template.json",
                                                           "README.md",
                                                           "adapter_config.json",
                                                           "special_tokens_map.json",
                                                           "LICENSE",
                                                           "LICENSE.txt",
                                                           "LICENSE.md"};

bool is_digits(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "NAME-00002-of-00003" -> 3, and the text before; 1 when it is whole.
int64_t split_parts(std::string_view* stem) {
  constexpr size_t kSuffix = std::string_view("-00001-of-00002").size();
  if (stem->size() <= kSuffix) return 1;
  const std::string_view tail = stem->substr(stem->size() - kSuffix);
  if (tail[0] != '-' || !is_digits(tail.substr(1, 5)) || tail.substr(6, 4) != "-of-" || !is_digits(tail.substr(10))) {
    return 1;
  }
  stem->remove_suffix(kSuffix);
  int64_t parts = 0;
  for (const char c : tail.substr(10)) parts = 10 * parts + (c - '0');
  return std::max<int64_t>(parts, 1);
}

// The type at the end of a file's name: "Qwen3-4B-Q4_K_M" -> "Q4_K_M", "x-UD-Q4_K_XL" -> "UD-Q4_K_XL".
std::string type_of(std::string_view stem) {
  const size_t at = stem.find_last_of("-./");
  const std::string_view word = at == stem.npos ? stem : stem.substr(at + 1);
  if (!is_weight_type(word)) return "";
  const bool dynamic = at != stem.npos && at >= 3 && lower(stem.substr(at - 3, 3)) == "-ud";
  return fmt::format("{}{}", dynamic ? "UD-" : "", word);
}

bool is_weights_of_folder(std::string_view path) {
  return path == "model.safetensors" || path == "model.safetensors.index.json" || path == "adapter_model.safetensors" ||
         (path.starts_with("model-") && path.ends_with(".safetensors"));
}

Choice folder_choice(const std::vector<FileEntry>& files) {
  Choice out;
  out.kind = ModelKind::kSafetensors;
  for (size_t i = 0; i < files.size(); ++i) {
    const std::string& path = files[i].path;
    if (is_weights_of_folder(path) || std::find(kFolderFiles.begin(), kFolderFiles.end(), path) != kFolderFiles.end()) {
      out.files.push_back(i);
      out.bytes += files[i].bytes;
    }
  }
  return out;
}

std::string list_types(const std::vector<GgufGroup>& groups) {
  std::string out;
  for (const GgufGroup& group : groups) {
    if (!group.quant.empty()) out += fmt::format("{}{}", out.empty() ? "" : ", ", group.quant);
  }
  return out;
}

size_t preference(const GgufGroup& group) {
  const auto at = std::find(kPreferred.begin(), kPreferred.end(), lower(group.quant));
  return static_cast<size_t>(at - kPreferred.begin());
}

}  // namespace

std::vector<GgufGroup> gguf_groups(const std::vector<FileEntry>& files) {
  std::map<std::string, GgufGroup> by_stem;
  for (size_t i = 0; i < files.size(); ++i) {
    std::string_view stem = files[i].path;
    if (!stem.ends_with(".gguf")) continue;
    const std::string small = lower(stem);
    if (small.find("mmproj") != small.npos || small.find("imatrix") != small.npos) continue;  // no language models
    stem.remove_suffix(5);
    const int64_t parts = split_parts(&stem);
    GgufGroup& group = by_stem[fmt::format("{} {}", stem, parts)];
    group.quant = type_of(stem);
    group.parts = parts;
    group.files.push_back(i);
    group.bytes += files[i].bytes;
  }
  std::vector<GgufGroup> out;
  for (auto& [stem, group] : by_stem) {
    std::sort(group.files.begin(), group.files.end(),
              [&](size_t a, size_t b) { return files[a].path < files[b].path; });
    if (static_cast<int64_t>(group.files.size()) == group.parts) out.push_back(std::move(group));
  }
  return out;
}

Result<Choice> choose_files(const std::vector<FileEntry>& files, const ModelName& name) {
  std::vector<GgufGroup> groups = gguf_groups(files);
  const bool folder =
      std::any_of(files.begin(), files.end(), [](const FileEntry& f) { return is_weights_of_folder(f.path); });
  std::sort(groups.begin(), groups.end(), [](const GgufGroup& a, const GgufGroup& b) {
    return std::pair(preference(a), a.quant) < std::pair(preference(b), b.quant);
  });
  const GgufGroup* best = nullptr;
  for (const GgufGroup& group : groups) {
    const std::string have = lower(group.quant), want = lower(name.quant);
    // "Q4_K_XL" finds "UD-Q4_K_XL" where there is no plain one.
    if (want.empty() || have == want) {
      best = &group;
      break;
    }
    if (best == nullptr && have.ends_with("-" + want)) best = &group;
  }
  if (best != nullptr) return Choice{ModelKind::kGguf, best->quant, best->files, best->bytes};
  if (folder) return folder_choice(files);
  if (groups.empty()) {
    return bad_input("{}: expected a model in GGUF or safetensors, got a repository of {} files without any", name.repo,
                     files.size());
  }
  return bad_input("{}: expected weights of type {}, got {}", name.repo, name.quant, list_types(groups));
}

}  // namespace bantam::hub
