// Split GGUF files: PREFIX-00001-of-0000N.gguf, metadata in the first, tensors in all of them.
#include <fmt/format.h>

#include "formats/describe.h"
#include "formats/gguf.h"

namespace bantam::formats {
namespace {

constexpr size_t kSuffixBytes = std::string_view("-00001-of-00002.gguf").size();

std::string part_name(std::string_view prefix, int64_t number, int64_t count) {
  return fmt::format("{}-{:05}-of-{:05}.gguf", prefix, number, count);
}

// split.count of a file, 1 when it is whole.
Result<int64_t> split_count(const GgufMetadata& metadata) {
  if (!metadata.has("split.count")) return int64_t{1};
  BANTAM_TRY_ASSIGN(const int64_t count, metadata.integer("split.count"));
  if (count >= 0 && count <= 99'999) return std::max<int64_t>(count, 1);
  return bad_input("gguf: key split.count: expected 0 to 99,999, got {}", count);
}

Status check_part(const GgufMetadata& metadata, int64_t index, int64_t count, std::string_view name) {
  BANTAM_TRY_ASSIGN(const int64_t own_index, metadata.integer("split.no"));
  BANTAM_TRY_ASSIGN(const int64_t own_count, split_count(metadata));
  if (own_index == index && own_count == count) return {};
  return bad_input("gguf: expected part {} of {}, got part {} of {} in {}", index + 1, count, own_index + 1, own_count,
                   name);
}

}  // namespace

Status read_gguf_parts(const FileSet& files, std::string_view name, std::vector<std::unique_ptr<SourceFile>>* sources,
                       GgufMetadata* metadata, std::vector<NamedTensor>* tensors) {
  BANTAM_TRY_ASSIGN(std::unique_ptr<SourceFile> named, files.open(name));
  BANTAM_TRY(read_gguf(*named, metadata, tensors));
  BANTAM_TRY_ASSIGN(const int64_t count, split_count(*metadata));
  if (count == 1) {
    sources->push_back(std::move(named));
    return {};
  }
  tensors->clear();
  const std::string_view prefix = name.substr(0, name.size() - std::min(name.size(), kSuffixBytes));
  BANTAM_TRY_ASSIGN(const int64_t number, metadata->integer("split.no"));
  if (number < 0 || number >= count || name != part_name(prefix, number + 1, count)) {
    return bad_input("gguf: expected part {} of {} to be named NAME-{:05}-of-{:05}.gguf, got {}", number + 1, count,
                     number + 1, count, printable(name));
  }
  for (int64_t i = 0; i < count; ++i) {
    const std::string part = part_name(prefix, i + 1, count);
    if (!files.has(part)) {
      return bad_input("gguf: expected {} parts, got no file {} in {}", count, printable(part), files.path());
    }
    BANTAM_TRY_ASSIGN(std::unique_ptr<SourceFile> file, files.open(part));
    GgufMetadata own;
    BANTAM_TRY(read_gguf(*file, &own, tensors));
    BANTAM_TRY(check_part(own, i, count, part));
    if (i == 0) *metadata = std::move(own);
    sources->push_back(std::move(file));
  }
  if (!metadata->has("split.tensors.count")) return {};
  BANTAM_TRY_ASSIGN(const int64_t total, metadata->integer("split.tensors.count"));
  if (total == static_cast<int64_t>(tensors->size())) return {};
  return bad_input("gguf: key split.tensors.count: expected the {} tensors of all parts, got {}", tensors->size(),
                   total);
}

}  // namespace bantam::formats
