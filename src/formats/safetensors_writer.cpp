// safetensors output: headers from the plan, one or several files behind one stream, the index last.
#include "formats/safetensors_writer.h"

#include <unistd.h>

#include <cstring>

#include "base/json.h"
#include "base/mmap.h"
#include "formats/describe.h"
#include "formats/hf_folder.h"
#include "formats/safetensors.h"

namespace bantam::formats {
namespace {

constexpr uint64_t kHeaderAlignment = 8;  // so that the data of an 8-byte type starts aligned
constexpr size_t kMaxShards = 512;        // each keeps a file open until finish()

JsonValue entry_of(const TensorPlan& t, uint64_t begin, uint64_t end) {
  JsonValue shape = JsonValue::array();
  for (int i = 0; i < t.shape.rank; ++i) shape.items().push_back(JsonValue::number(t.shape[i]));
  JsonValue offsets =
      JsonValue::array({JsonValue::number(static_cast<int64_t>(begin)), JsonValue::number(static_cast<int64_t>(end))});
  return JsonValue::object({{"dtype", JsonValue::string(std::string(safetensors_name(t.dtype)))},
                            {"shape", std::move(shape)},
                            {"data_offsets", std::move(offsets)}});
}

// Length prefix and padded header of the tensors [first, last) of a plan.
std::string header_of(const std::vector<TensorPlan>& plan, const std::vector<uint64_t>& bytes, size_t first,
                      size_t last, const SafetensorsMetadata& metadata) {
  std::vector<JsonValue::Member> members;
  if (!metadata.empty()) {
    JsonValue pairs = JsonValue::object();
    for (const auto& [key, value] : metadata) pairs.members().emplace_back(key, JsonValue::string(value));
    members.emplace_back("__metadata__", std::move(pairs));
  }
  uint64_t offset = 0;
  for (size_t i = first; i < last; ++i) {
    members.emplace_back(plan[i].name, entry_of(plan[i], offset, offset + bytes[i]));
    offset += bytes[i];
  }
  std::string json = to_json(JsonValue::object(std::move(members)));
  json.append((kHeaderAlignment - json.size() % kHeaderAlignment) % kHeaderAlignment, ' ');
  const uint64_t length = json.size();
  std::string out(sizeof length, '\0');
  std::memcpy(out.data(), &length, sizeof length);
  return out + json;
}

Status check_types(const std::vector<TensorPlan>& plan) {
  for (const TensorPlan& t : plan) {
    if (!safetensors_name(t.dtype).empty() && t.name != "__metadata__") continue;
    return usage_error("safetensors: tensor {}: expected a plain type and another name than __metadata__, got {}",
                       t.name, name(t.dtype));
  }
  return {};
}

class SafetensorsFileWriter final : public TensorWriter {
 public:
  SafetensorsFileWriter(std::vector<TensorPlan> plan, std::vector<uint64_t> bytes)
      : plan_(std::move(plan)), bytes_(std::move(bytes)), progress_(plan_, bytes_) {}

  // Opens the next file, which takes the tensors from the last one's end up to `last`.
  Status add_file(const std::string& path, size_t last, const SafetensorsMetadata& metadata) {
    const size_t first = ends_.empty() ? 0 : ends_.back();
    BANTAM_TRY_ASSIGN(AtomicFile file, AtomicFile::create(path));
    files_.push_back(std::move(file));
    ends_.push_back(last);
    return files_.back().write(header_of(plan_, bytes_, first, last, metadata));
  }
  void set_index(std::string path, std::string text) {
    index_path_ = std::move(path);
    index_text_ = std::move(text);
  }

  Status write(std::string_view tensor, std::span<const std::byte> chunk) override {
    if (chunk.empty()) return {};
    BANTAM_TRY(progress_.advance(tensor, chunk.size()));
    while (progress_.index() >= ends_[current_]) ++current_;
    return files_[current_].write(chunk);
  }

  Status finish() override {
    BANTAM_TRY(progress_.complete());
    // An index of an earlier conversion must not point at a mixture of old and new shards, however briefly.
    if (!index_path_.empty()) ::unlink(index_path_.c_str());
    for (AtomicFile& file : files_) BANTAM_TRY(file.commit());
    return index_path_.empty() ? Status() : write_whole_file(index_path_, index_text_);
  }

 private:
  std::vector<TensorPlan> plan_;
  std::vector<uint64_t> bytes_;
  PlanProgress progress_;
  std::vector<AtomicFile> files_;
  std::vector<size_t> ends_;  // files_[i] holds plan_[ends_[i-1], ends_[i])
  size_t current_ = 0;
  std::string index_path_, index_text_;
};

// Cuts the plan before the tensor that would make a shard exceed shard_bytes; returns each shard's end.
std::vector<size_t> cut_shards(const std::vector<uint64_t>& bytes, uint64_t shard_bytes) {
  std::vector<size_t> ends;
  uint64_t used = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (used > 0 && (used > shard_bytes || bytes[i] > shard_bytes - used)) {
      ends.push_back(i);
      used = 0;
    }
    used += bytes[i];
  }
  ends.push_back(bytes.size());
  return ends;
}

std::string index_text(const std::vector<TensorPlan>& plan, const std::vector<uint64_t>& bytes,
                       const std::vector<size_t>& ends, const std::vector<std::string>& names) {
  JsonValue map = JsonValue::object();
  int64_t total = 0;
  size_t shard = 0;
  for (size_t i = 0; i < plan.size(); ++i) {
    while (i >= ends[shard]) ++shard;
    map.members().emplace_back(plan[i].name, JsonValue::string(names[shard]));
    total += static_cast<int64_t>(bytes[i]);
  }
  JsonValue metadata = JsonValue::object({{"total_size", JsonValue::number(total)}});
  return to_pretty_json(JsonValue::object({{"metadata", std::move(metadata)}, {"weight_map", std::move(map)}})) + "\n";
}

Status refuse_other_form(const std::string& folder, bool sharded) {
  const std::string_view other = sharded ? kSingleWeights : kWeightsIndex;
  const std::string path = fmt::format("{}/{}", folder, other);
  if (!file_exists(path)) return {};
  return usage_error("expected {} without other weights, got {}: remove it or choose another folder", folder, path);
}

}  // namespace

Result<std::unique_ptr<TensorWriter>> create_safetensors(const std::string& path, std::vector<TensorPlan> plan,
                                                         const SafetensorsMetadata& metadata) {
  std::vector<uint64_t> bytes;
  BANTAM_TRY(check_plan(plan, &bytes));
  BANTAM_TRY(check_types(plan));
  const size_t count = plan.size();
  auto writer = std::make_unique<SafetensorsFileWriter>(std::move(plan), std::move(bytes));
  BANTAM_TRY(writer->add_file(path, count, metadata));
  return std::unique_ptr<TensorWriter>(std::move(writer));
}

Result<std::unique_ptr<TensorWriter>> create_safetensors_folder(const std::string& folder, std::vector<TensorPlan> plan,
                                                                uint64_t shard_bytes) {
  std::vector<uint64_t> bytes;
  BANTAM_TRY(check_plan(plan, &bytes));
  BANTAM_TRY(check_types(plan));
  const std::vector<size_t> ends = cut_shards(bytes, shard_bytes);
  const bool sharded = ends.size() > 1;
  if (ends.size() > kMaxShards) {
    return usage_error("expected at most {} shards, got {} of {} bytes each: raise the shard size", kMaxShards,
                       ends.size(), with_commas(shard_bytes));
  }
  BANTAM_TRY(refuse_other_form(folder, sharded));
  std::vector<std::string> names;
  for (size_t i = 0; i < ends.size(); ++i) {
    names.push_back(sharded ? fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, ends.size())
                            : std::string(kSingleWeights));
  }
  std::string index = sharded ? index_text(plan, bytes, ends, names) : std::string();
  auto writer = std::make_unique<SafetensorsFileWriter>(std::move(plan), std::move(bytes));
  for (size_t i = 0; i < ends.size(); ++i) {
    BANTAM_TRY(writer->add_file(fmt::format("{}/{}", folder, names[i]), ends[i], {{"format", "pt"}}));
  }
  if (sharded) writer->set_index(fmt::format("{}/{}", folder, kWeightsIndex), std::move(index));
  return std::unique_ptr<TensorWriter>(std::move(writer));
}

}  // namespace bantam::formats
