// Helpers of the formats tests: golden files, temporary folders, and builders that can also write damaged files.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/checkpoint.h"

namespace bantam::formats {

inline std::string golden(const std::string& name) {
  return std::string(BANTAM_SOURCE_DIR "/tests/formats/golden/") + name;
}

inline std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void spit(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

// A fresh folder, removed at the end of the test.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = testing::TempDir() + "bantam-formats-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }
  size_t file_count() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(path_), {}));
  }

 private:
  std::string path_;
};

inline std::string fnv1a(const void* data, int64_t size) {
  uint64_t value = 0xCBF29CE484222325u;
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (int64_t i = 0; i < size; ++i) value = (value ^ bytes[i]) * 0x100000001B3u;
  return fmt::format("{:016x}", value);
}

// Everything a checkpoint says, as text: equal texts mean equal checkpoints. Touches every byte it hands out.
inline std::string fingerprint(const Checkpoint& c) {
  std::string out;
  for (const NamedTensor& t : c.tensors()) {
    out += fmt::format("{} {} {} {}\n", t.name, name(t.view.dtype), t.view.shape.to_string(),
                       fnv1a(t.view.data, t.view.bytes()));
    EXPECT_EQ(c.find(t.name), &t);
  }
  if (c.gguf() != nullptr) {
    for (const GgufEntry& e : c.gguf()->entries()) {
      out += fmt::format("{} {} {} {}\n", e.key, e.type_text(), e.to_text(1000),
                         fnv1a(e.payload.data(), static_cast<int64_t>(e.payload.size())));
      EXPECT_EQ(c.gguf()->find(e.key), &e);
      if (auto strings = c.gguf()->strings(e.key); strings.ok()) {
        for (std::string_view s : *strings) out += fnv1a(s.data(), static_cast<int64_t>(s.size()));
      }
      if (auto values = c.gguf()->i32s(e.key); values.ok()) out += std::to_string(values->size());
      if (auto values = c.gguf()->f32s(e.key); values.ok()) out += std::to_string(values->size());
      if (auto value = c.gguf()->integer(e.key); value.ok()) out += std::to_string(*value);
    }
  }
  for (const TextFile& t : c.texts())
    out += fmt::format("{} {}\n", t.name, fnv1a(t.text.data(), static_cast<int64_t>(t.text.size())));
  return out;
}

template <class T>
void put(std::string* out, T value) {
  out->append(reinterpret_cast<const char*>(&value), sizeof value);
}

// length + header + data
inline std::string safetensors_file(std::string_view header, std::string_view data) {
  std::string out;
  put<uint64_t>(&out, header.size());
  return out.append(header).append(data);
}

// Writes GGUF by hand and remembers where each integer of the header lies, so that tests can damage it.
class GgufBytes {
 public:
  struct Field {
    size_t at;
    size_t width;
  };
  GgufBytes(uint64_t tensors, uint64_t entries, uint32_t version = 3) {
    bytes = "GGUF";
    integer(version);
    integer(tensors);
    integer(entries);
  }
  template <class T>
  GgufBytes& integer(T value) {
    fields.push_back({bytes.size(), sizeof value});
    put(&bytes, value);
    return *this;
  }
  GgufBytes& text(std::string_view s) {
    integer<uint64_t>(s.size());
    bytes += s;
    return *this;
  }
  template <class T>
  GgufBytes& entry(std::string_view key, GgufType type, T value) {
    text(key).integer(static_cast<uint32_t>(type)).integer(value);
    return *this;
  }
  GgufBytes& string_entry(std::string_view key, std::string_view value) {
    return text(key).integer(static_cast<uint32_t>(GgufType::kString)).text(value);
  }
  // ne: fastest dimension first, as in the file
  GgufBytes& tensor(std::string_view tensor_name, std::initializer_list<uint64_t> ne, uint32_t type, uint64_t offset) {
    text(tensor_name).integer(static_cast<uint32_t>(ne.size()));
    for (uint64_t n : ne) integer(n);
    return integer(type).integer(offset);
  }
  GgufBytes& data(size_t size, size_t alignment = 32) {
    bytes.resize((bytes.size() + alignment - 1) / alignment * alignment, '\0');
    for (size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(i * 7));
    return *this;
  }
  std::string bytes;
  std::vector<Field> fields;
};

// Opens bytes as a single file; the bytes must outlive the result.
inline Result<Checkpoint> open_bytes(const std::string& file_name, std::string_view bytes) {
  return Checkpoint::from_memory({{file_name, bytes}});
}
inline std::string error_of(const std::string& file_name, std::string_view bytes) {
  auto c = open_bytes(file_name, bytes);
  return c.ok() ? "no error" : std::string(c.status().message());
}

}  // namespace bantam::formats
