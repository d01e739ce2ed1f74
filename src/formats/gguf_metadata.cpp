// Typed access to validated payloads. A load out of range is our own bug (the reader let something through): CHECK.
#include "formats/gguf_metadata.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/check.h"
#include "formats/describe.h"

namespace bantam::formats {
namespace {

struct TypeRow {
  std::string_view name;
  int bytes;
};
constexpr TypeRow kTypes[kGgufTypeCount] = {
    {"u8", 1},   {"i8", 1},     {"u16", 2},   {"i16", 2}, {"u32", 4}, {"i32", 4}, {"f32", 4},
    {"bool", 1}, {"string", 0}, {"array", 0}, {"u64", 8}, {"i64", 8}, {"f64", 8},
};
constexpr size_t kArrayPrefixBytes = 12;  // element type u32, count u64
constexpr size_t kStringPrefixBytes = 8;  // length u64

template <class T>
T load(std::string_view bytes, size_t at = 0) {
  T value;
  BANTAM_CHECK(at <= bytes.size() && sizeof(T) <= bytes.size() - at);
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

// Calls f(string_view) for each string of an array payload. REQUIRES: validated.
template <class F>
void for_each_string(const GgufEntry& entry, F&& f) {
  size_t at = kArrayPrefixBytes;
  for (uint64_t n = entry.element_count(); n > 0; --n) {
    const auto length = static_cast<size_t>(load<uint64_t>(entry.payload, at));
    if (!f(entry.payload.substr(at + kStringPrefixBytes, length))) return;
    at += kStringPrefixBytes + length;
  }
}

template <class T>
std::vector<T> load_array(const GgufEntry& entry) {
  std::vector<T> out(static_cast<size_t>(entry.element_count()));
  BANTAM_CHECK(entry.payload.size() == kArrayPrefixBytes + out.size() * sizeof(T));
  if (!out.empty()) std::memcpy(out.data(), entry.payload.data() + kArrayPrefixBytes, out.size() * sizeof(T));
  return out;
}

std::string scalar_text(GgufType type, std::string_view bytes, size_t at) {
  switch (type) {
    case GgufType::kU8:
      return fmt::format("{}", load<uint8_t>(bytes, at));
    case GgufType::kI8:
      return fmt::format("{}", load<int8_t>(bytes, at));
    case GgufType::kU16:
      return fmt::format("{}", load<uint16_t>(bytes, at));
    case GgufType::kI16:
      return fmt::format("{}", load<int16_t>(bytes, at));
    case GgufType::kU32:
      return fmt::format("{}", load<uint32_t>(bytes, at));
    case GgufType::kI32:
      return fmt::format("{}", load<int32_t>(bytes, at));
    case GgufType::kF32:
      return fmt::format("{}", load<float>(bytes, at));
    case GgufType::kBool:
      return load<uint8_t>(bytes, at) != 0 ? "true" : "false";
    case GgufType::kU64:
      return fmt::format("{}", load<uint64_t>(bytes, at));
    case GgufType::kI64:
      return fmt::format("{}", load<int64_t>(bytes, at));
    case GgufType::kF64:
      return fmt::format("{}", load<double>(bytes, at));
    default:
      return {};
  }
}

}  // namespace

std::string_view name(GgufType type) {
  return kTypes[static_cast<size_t>(type)].name;
}
int fixed_bytes(GgufType type) {
  return kTypes[static_cast<size_t>(type)].bytes;
}

GgufType GgufEntry::element_type() const {
  return static_cast<GgufType>(load<uint32_t>(payload));
}
uint64_t GgufEntry::element_count() const {
  return load<uint64_t>(payload, 4);
}

std::string GgufEntry::type_text() const {
  if (type != GgufType::kArray) return std::string(formats::name(type));
  return fmt::format("array of {} {}", element_count(), formats::name(element_type()));
}

std::string GgufEntry::to_text(size_t max_chars) const {
  if (type == GgufType::kString) return printable(payload.substr(kStringPrefixBytes), max_chars);
  if (type != GgufType::kArray) return scalar_text(type, payload, 0);
  std::string out = "[";
  const auto append = [&](std::string_view item) {
    if (out.size() > 1) out += ", ";
    out += item;
    if (out.size() < max_chars) return true;
    out += ", ...";
    return false;
  };
  if (element_type() == GgufType::kString) {
    for_each_string(*this, [&](std::string_view s) { return append(printable(s, max_chars)); });
  } else {
    const auto step = static_cast<size_t>(fixed_bytes(element_type()));
    for (size_t at = kArrayPrefixBytes; at < payload.size(); at += step) {
      if (!append(scalar_text(element_type(), payload, at))) break;
    }
  }
  return out + "]";
}

GgufMetadata::GgufMetadata(std::vector<GgufEntry> entries) : entries_(std::move(entries)), by_key_(entries_.size()) {
  std::iota(by_key_.begin(), by_key_.end(), 0u);
  std::sort(by_key_.begin(), by_key_.end(), [this](uint32_t a, uint32_t b) {
    const int order = entries_[a].key.compare(entries_[b].key);
    return order != 0 ? order < 0 : a < b;
  });
}

const GgufEntry* GgufMetadata::find_duplicate() const {
  for (size_t i = 1; i < by_key_.size(); ++i) {
    if (entries_[by_key_[i]].key == entries_[by_key_[i - 1]].key) return &entries_[by_key_[i]];
  }
  return nullptr;
}

const GgufEntry* GgufMetadata::find(std::string_view key) const {
  const auto at = std::lower_bound(by_key_.begin(), by_key_.end(), key,
                                   [this](uint32_t i, std::string_view k) { return entries_[i].key < k; });
  return at != by_key_.end() && entries_[*at].key == key ? &entries_[*at] : nullptr;
}

Result<const GgufEntry*> GgufMetadata::typed(std::string_view key, GgufType expected) const {
  const GgufEntry* entry = find(key);
  if (entry == nullptr) return bad_input("gguf: key {}: expected {}, got no such key", key, formats::name(expected));
  if (entry->type == expected) return entry;
  return bad_input("gguf: key {}: expected {}, got {}", key, formats::name(expected), entry->type_text());
}

Result<const GgufEntry*> GgufMetadata::typed_array(std::string_view key, GgufType expected) const {
  const GgufEntry* entry = find(key);
  const std::string_view element = formats::name(expected);
  if (entry == nullptr) return bad_input("gguf: key {}: expected an array of {}, got no such key", key, element);
  if (entry->type == GgufType::kArray && entry->element_type() == expected) return entry;
  return bad_input("gguf: key {}: expected an array of {}, got {}", key, element, entry->type_text());
}

Result<uint32_t> GgufMetadata::u32(std::string_view key) const {
  BANTAM_TRY_ASSIGN(const GgufEntry* entry, typed(key, GgufType::kU32));
  return load<uint32_t>(entry->payload);
}
Result<int32_t> GgufMetadata::i32(std::string_view key) const {
  BANTAM_TRY_ASSIGN(const GgufEntry* entry, typed(key, GgufType::kI32));
  return load<int32_t>(entry->payload);
}
Result<uint64_t> GgufMetadata::u64(std::string_view key) const {
  BANTAM_TRY_ASSIGN(const GgufEntry* entry, typed(key, GgufType::kU64));
  return load<uint64_t>(entry->payload);
}
Result<float> GgufMetadata::f32(std::string_view key) const {
  BANTAM_TRY_ASSIGN(const GgufEntry* entry, typed(key, GgufType::kF32));
  return load<float>(entry->payload);
}
Result<bool> GgufMetadata::boolean(std::string_view key) const {
  BANTAM_TRY_ASSIGN(const GgufEntry* entry, typed(key, GgufType::kBool));
  return load<uint8_t>(entry->payload) != 0;
}
Result<std::string_view> GgufMetadata::string(std::string_view key) const {
  BANTAM_TRY_ASSIGN(const GgufEntry* entry, typed(key, GgufType::kString));
  return entry->payload.substr(kStringPrefixBytes);
}

Result<int64_t> GgufMetadata::integer(std::string_view key) const {
  const GgufEntry* entry = find(key);
  if (entry == nullptr) return bad_input("gguf: key {}: expected an integer, got no such key", key);
  switch (entry->type) {
    case GgufType::kU8:
      return int64_t{load<uint8_t>(entry->payload)};
    case GgufType::kI8:
      return int64_t{load<int8_t>(entry->payload)};
    case GgufType::kU16:
      return int64_t{load<uint16_t>(entry->payload)};
    case GgufType::kI16:
      return int64_t{load<int16_t>(entry->payload)};
    case GgufType::kU32:
      return int64_t{load<uint32_t>(entry->payload)};
    case GgufType::kI32:
      return int64_t{load<int32_t>(entry->payload)};
    case GgufType::kI64:
      return load<int64_t>(entry->payload);
    case GgufType::kU64: {
      const auto value = load<uint64_t>(entry->payload);
      if (value <= static_cast<uint64_t>(INT64_MAX)) return static_cast<int64_t>(value);
      return bad_input("gguf: key {}: expected an integer below 2^63, got {}", key, value);
    }
    default:
      return bad_input("gguf: key {}: expected an integer, got {}", key, entry->type_text());
  }
}

Result<double> GgufMetadata::number(std::string_view key) const {
  const GgufEntry* entry = find(key);
  if (entry == nullptr) return bad_input("gguf: key {}: expected f32 or f64, got no such key", key);
  if (entry->type == GgufType::kF32) return double{load<float>(entry->payload)};
  if (entry->type == GgufType::kF64) return load<double>(entry->payload);
  return bad_input("gguf: key {}: expected f32 or f64, got {}", key, entry->type_text());
}

Result<std::vector<std::string_view>> GgufMetadata::strings(std::string_view key) const {
  BANTAM_TRY_ASSIGN(const GgufEntry* entry, typed_array(key, GgufType::kString));
  std::vector<std::string_view> out;
  out.reserve(static_cast<size_t>(entry->element_count()));
  for_each_string(*entry, [&](std::string_view s) {
    out.push_back(s);
    return true;
  });
  return out;
}
Result<std::vector<int32_t>> GgufMetadata::i32s(std::string_view key) const {
  BANTAM_TRY_ASSIGN(const GgufEntry* entry, typed_array(key, GgufType::kI32));
  return load_array<int32_t>(*entry);
}
Result<std::vector<uint32_t>> GgufMetadata::u32s(std::string_view key) const {
  BANTAM_TRY_ASSIGN(const GgufEntry* entry, typed_array(key, GgufType::kU32));
  return load_array<uint32_t>(*entry);
}
Result<std::vector<float>> GgufMetadata::f32s(std::string_view key) const {
  BANTAM_TRY_ASSIGN(const GgufEntry* entry, typed_array(key, GgufType::kF32));
  return load_array<float>(*entry);
}

}  // namespace bantam::formats
