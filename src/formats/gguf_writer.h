// Writes GGUF version 3, little endian. Metadata first (set, or copied verbatim from another file), then the planned
// tensors streamed. Layout: docs/formats/gguf.md. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/gguf_metadata.h"
#include "formats/tensor_writer.h"

namespace bantam::formats {

// Metadata under construction. Setting a key again replaces its value in place, so a conversion copies the source's
// entries first and then sets what it changes.
class GgufMetadataBuilder {
 public:
  void set_u32(std::string_view key, uint32_t value);
  void set_i32(std::string_view key, int32_t value);
  void set_u64(std::string_view key, uint64_t value);
  void set_f32(std::string_view key, float value);
  void set_bool(std::string_view key, bool value);
  void set_string(std::string_view key, std::string_view value);
  void set_strings(std::string_view key, std::span<const std::string_view> values);
  void set_i32s(std::string_view key, std::span<const int32_t> values);
  void set_f32s(std::string_view key, std::span<const float> values);
  // Verbatim: same type, same bytes.
  void copy(const GgufEntry& entry);
  // Every entry but general.alignment (the writer's own) and split.* (the writer makes one file).
  void copy_all(const GgufMetadata& metadata);
  void remove(std::string_view key);

 private:
  friend Result<std::unique_ptr<TensorWriter>> create_gguf(const std::string&, const GgufMetadataBuilder&,
                                                           std::vector<TensorPlan>);
  struct Item {
    std::string key;
    GgufType type;
    std::string payload;
  };
  void set(std::string_view key, GgufType type, std::string payload);
  std::vector<Item> items_;
};

// kUsage when a planned dtype has no GGUF type number, or metadata lacks general.architecture.
Result<std::unique_ptr<TensorWriter>> create_gguf(const std::string& path, const GgufMetadataBuilder& metadata,
                                                  std::vector<TensorPlan> plan);

}  // namespace bantam::formats
