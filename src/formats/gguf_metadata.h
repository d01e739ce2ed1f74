// GGUF metadata: the file's ordered key-value pairs behind typed, checked getters. Views into the file's bytes; whoever
// owns them (Checkpoint) outlives this. Everything was walked and bounds-checked when the file was opened, so getters
// only check presence and type. Immutable, thread-safe. Called by model (hyper-parameters), cli (show, convert) and
// whoever makes a tokenizer from tokenizer.ggml.*.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bantam::formats {

// Value types as GGUF numbers them (ggml/docs/gguf.md).
enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};
inline constexpr uint32_t kGgufTypeCount = 13;
// "u32", "array", ...
std::string_view name(GgufType type);
// Bytes of one value; 0 for strings and arrays.
int fixed_bytes(GgufType type);

struct GgufEntry {
  std::string_view key;
  std::string_view payload;  // the value's bytes as the file holds them, type number not included
  GgufType type = GgufType::kU8;

  GgufType element_type() const;   // REQUIRES: type == kArray
  uint64_t element_count() const;  // REQUIRES: type == kArray
  // "u32" or "array of 151936 strings", for messages and `show`.
  std::string type_text() const;
  // The value as text for people; strings and arrays cut at about max_chars.
  std::string to_text(size_t max_chars = 120) const;
};

class GgufMetadata {
 public:
  GgufMetadata() = default;
  // Takes entries whose payloads were validated; used by the reader.
  explicit GgufMetadata(std::vector<GgufEntry> entries);

  std::span<const GgufEntry> entries() const { return entries_; }  // in file order
  const GgufEntry* find(std::string_view key) const;
  // An entry whose key came before, or nullptr; a Checkpoint's metadata has none.
  const GgufEntry* find_duplicate() const;
  bool has(std::string_view key) const { return find(key) != nullptr; }

  // Exact types; an absent key or another type is kBadInput naming key, expectation and what came.
  Result<uint32_t> u32(std::string_view key) const;
  Result<int32_t> i32(std::string_view key) const;
  Result<uint64_t> u64(std::string_view key) const;
  Result<float> f32(std::string_view key) const;
  Result<bool> boolean(std::string_view key) const;
  Result<std::string_view> string(std::string_view key) const;
  // Any integer type, value as int64 (an error for a u64 beyond it): writers disagree about widths.
  Result<int64_t> integer(std::string_view key) const;
  // f32 or f64.
  Result<double> number(std::string_view key) const;
  // Arrays of exactly that element type. Elements are copied (files do not align them); string views point into the
  // file.
  Result<std::vector<std::string_view>> strings(std::string_view key) const;
  Result<std::vector<int32_t>> i32s(std::string_view key) const;
  Result<std::vector<uint32_t>> u32s(std::string_view key) const;
  Result<std::vector<float>> f32s(std::string_view key) const;

 private:
  Result<const GgufEntry*> typed(std::string_view key, GgufType expected) const;
  Result<const GgufEntry*> typed_array(std::string_view key, GgufType expected) const;
  std::vector<GgufEntry> entries_;
  std::vector<uint32_t> by_key_;  // positions in entries_, sorted by key
};

}  // namespace bantam::formats
