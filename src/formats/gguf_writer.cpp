// GGUF version 3 from metadata items and a plan: the whole head is built in memory, data streams after it.
#include "formats/gguf_writer.h"

#include <algorithm>
#include <cstring>

#include "base/mmap.h"
#include "formats/gguf_types.h"

namespace bantam::formats {
namespace {

constexpr uint32_t kVersion = 3;
constexpr uint64_t kAlignment = 32;  // the format's default; not written as a key

template <class T>
void put(std::string* out, T value) {
  out->append(reinterpret_cast<const char*>(&value), sizeof value);
}
void put_string(std::string* out, std::string_view text) {
  put<uint64_t>(out, text.size());
  out->append(text);
}
template <class T>
std::string scalar(T value) {
  std::string out;
  put(&out, value);
  return out;
}
template <class T>
std::string array(GgufType element, std::span<const T> values) {
  std::string out;
  put(&out, static_cast<uint32_t>(element));
  put<uint64_t>(&out, values.size());
  for (const T& v : values) put(&out, v);
  return out;
}

constexpr uint64_t align_up(uint64_t value) {
  return (value + kAlignment - 1) / kAlignment * kAlignment;
}

class GgufFileWriter final : public TensorWriter {
 public:
  GgufFileWriter(AtomicFile file, std::vector<TensorPlan> plan, std::vector<uint64_t> bytes)
      : file_(std::move(file)), plan_(std::move(plan)), bytes_(std::move(bytes)), progress_(plan_, bytes_) {}

  // The tensor records' and the data's beginning. `head` holds everything before the records.
  Status begin(std::string head) {
    uint64_t offset = 0;
    for (size_t i = 0; i < plan_.size(); ++i) {
      const TensorPlan& t = plan_[i];
      put_string(&head, t.name);
      put<uint32_t>(&head, static_cast<uint32_t>(t.shape.rank));
      for (int d = t.shape.rank - 1; d >= 0; --d) put<uint64_t>(&head, static_cast<uint64_t>(t.shape[d]));
      put<uint32_t>(&head, *gguf_type_of(t.dtype));
      put<uint64_t>(&head, offset);
      offsets_.push_back(offset);
      offset = align_up(offset + bytes_[i]);
    }
    data_begin_ = align_up(head.size());
    data_bytes_ = offset;
    BANTAM_TRY(file_.write(head));
    return file_.pad_to(data_begin_);
  }

  Status write(std::string_view tensor, std::span<const std::byte> chunk) override {
    if (chunk.empty()) return {};
    BANTAM_TRY(progress_.advance(tensor, chunk.size()));
    const uint64_t start = data_begin_ + offsets_[progress_.index()];
    if (file_.offset() < start) BANTAM_TRY(file_.pad_to(start));
    return file_.write(chunk);
  }

  Status finish() override {
    BANTAM_TRY(progress_.complete());
    BANTAM_TRY(file_.pad_to(data_begin_ + data_bytes_));
    return file_.commit();
  }

 private:
  AtomicFile file_;
  std::vector<TensorPlan> plan_;
  std::vector<uint64_t> bytes_, offsets_;
  PlanProgress progress_;
  uint64_t data_begin_ = 0, data_bytes_ = 0;
};

}  // namespace

void GgufMetadataBuilder::set(std::string_view key, GgufType type, std::string payload) {
  const auto at = std::find_if(items_.begin(), items_.end(), [&](const Item& i) { return i.key == key; });
  if (at != items_.end()) {
    at->type = type;
    at->payload = std::move(payload);
  } else {
    items_.push_back({std::string(key), type, std::move(payload)});
  }
}

void GgufMetadataBuilder::set_u32(std::string_view key, uint32_t value) {
  set(key, GgufType::kU32, scalar(value));
}
void GgufMetadataBuilder::set_i32(std::string_view key, int32_t value) {
  set(key, GgufType::kI32, scalar(value));
}
void GgufMetadataBuilder::set_u64(std::string_view key, uint64_t value) {
  set(key, GgufType::kU64, scalar(value));
}
void GgufMetadataBuilder::set_f32(std::string_view key, float value) {
  set(key, GgufType::kF32, scalar(value));
}
void GgufMetadataBuilder::set_bool(std::string_view key, bool value) {
  set(key, GgufType::kBool, std::string(1, value ? '\1' : '\0'));
}
void GgufMetadataBuilder::set_string(std::string_view key, std::string_view value) {
  std::string payload;
  put_string(&payload, value);
  set(key, GgufType::kString, std::move(payload));
}
void GgufMetadataBuilder::set_strings(std::string_view key, std::span<const std::string_view> values) {
  std::string payload;
  put(&payload, static_cast<uint32_t>(GgufType::kString));
  put<uint64_t>(&payload, values.size());
  for (std::string_view v : values) put_string(&payload, v);
  set(key, GgufType::kArray, std::move(payload));
}
void GgufMetadataBuilder::set_i32s(std::string_view key, std::span<const int32_t> values) {
  set(key, GgufType::kArray, array(GgufType::kI32, values));
}
void GgufMetadataBuilder::set_f32s(std::string_view key, std::span<const float> values) {
  set(key, GgufType::kArray, array(GgufType::kF32, values));
}
void GgufMetadataBuilder::copy(const GgufEntry& entry) {
  set(entry.key, entry.type, std::string(entry.payload));
}

void GgufMetadataBuilder::copy_all(const GgufMetadata& metadata) {
  for (const GgufEntry& entry : metadata.entries()) {
    if (entry.key != "general.alignment" && !entry.key.starts_with("split.")) copy(entry);
  }
}

void GgufMetadataBuilder::remove(std::string_view key) {
  std::erase_if(items_, [&](const Item& i) { return i.key == key; });
}

Result<std::unique_ptr<TensorWriter>> create_gguf(const std::string& path, const GgufMetadataBuilder& metadata,
                                                  std::vector<TensorPlan> plan) {
  const auto& items = metadata.items_;
  const bool has_architecture =
      std::any_of(items.begin(), items.end(), [](const auto& i) { return i.key == "general.architecture"; });
  if (!has_architecture) return usage_error("gguf: expected the key general.architecture, got metadata without it");
  std::vector<uint64_t> bytes;
  BANTAM_TRY(check_plan(plan, &bytes));
  for (size_t i = 0; i < plan.size(); ++i) {
    if (!gguf_type_of(plan[i].dtype)) {
      return usage_error("gguf: tensor {}: expected a type that GGUF has, got {}", plan[i].name, name(plan[i].dtype));
    }
    if (plan[i].shape.rank < 1 || bytes[i] == 0) {
      return usage_error("gguf: tensor {}: expected dimensions of at least 1, got shape {}", plan[i].name,
                         plan[i].shape.to_string());
    }
  }
  std::string head = "GGUF";
  put(&head, kVersion);
  put<uint64_t>(&head, plan.size());
  put<uint64_t>(&head, items.size());
  for (const auto& item : items) {
    put_string(&head, item.key);
    put(&head, static_cast<uint32_t>(item.type));
    head += item.payload;
  }
  BANTAM_TRY_ASSIGN(AtomicFile file, AtomicFile::create(path));
  auto writer = std::make_unique<GgufFileWriter>(std::move(file), std::move(plan), std::move(bytes));
  BANTAM_TRY(writer->begin(std::move(head)));
  return std::unique_ptr<TensorWriter>(std::move(writer));
}

}  // namespace bantam::formats
