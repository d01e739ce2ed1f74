// See quantized.h.
#include "hub/quantized.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "base/check.h"

namespace bantam::hub {
namespace {

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

}  // namespace

std::string quantized_path(const std::string& folder, const std::string& repo, const std::string& quant) {
  BANTAM_CHECK(is_repo(repo) && is_safe_path(quant));
  const size_t slash = repo.find('/');
  return fmt::format("{}/{}--{}/{}-{}.gguf", folder, repo.substr(0, slash), repo.substr(slash + 1),
                     repo.substr(slash + 1), upper(quant));
}

std::vector<QuantizedModel> list_quantized(const std::string& folder) {
  namespace fs = std::filesystem;
  std::vector<QuantizedModel> out;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    std::string repo = entry.path().filename();
    const size_t dashes = repo.find("--");
    if (dashes == repo.npos) continue;
    repo = repo.substr(0, dashes) + "/" + repo.substr(dashes + 2);
    if (!is_repo(repo)) continue;
    for (const auto& file : fs::directory_iterator(entry.path(), ignored)) {
      const std::string stem = file.path().stem(), start = repo.substr(dashes + 1) + "-";
      struct stat st {};
      if (file.path().extension() != ".gguf" || !stem.starts_with(start) || ::stat(file.path().c_str(), &st) != 0)
        continue;
      out.push_back({repo, stem.substr(start.size()), file.path(), st.st_size, static_cast<int64_t>(st.st_mtime)});
    }
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return out;
}

std::vector<QuantizedModel> find_quantized(const std::string& folder, const ModelName& name) {
  std::vector<QuantizedModel> out = list_quantized(folder);
  std::erase_if(out, [&](const QuantizedModel& model) {
    return model.repo != name.repo || (!name.quant.empty() && lower(model.quant) != lower(name.quant));
  });
  return out;
}

}  // namespace bantam::hub
