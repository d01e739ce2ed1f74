// The two hashes by which the hub names contents: SHA-256 of a large file, and git's blob SHA-1 of a small one. One
// thread per object.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace bantam::hub {

// 64 (SHA-256) or 40 (git's SHA-1) lower-case hexadecimal digits. Everything that names a file of the cache passes
// here.
bool is_content_hash(std::string_view text);
bool is_commit(std::string_view text);  // 40 of them

class ContentHash {
 public:
  // Of the kind that `expected` is. REQUIRES: is_content_hash(expected). `bytes` is the content's size.
  ContentHash(std::string_view expected, int64_t bytes);
  ~ContentHash();
  ContentHash(ContentHash&&) noexcept;
  ContentHash& operator=(ContentHash&&) noexcept;

  void add(std::span<const std::byte> bytes);
  std::string hex();  // ends it

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// "SHA-256" or "git blob SHA-1".
std::string_view hash_kind(std::string_view hash);

}  // namespace bantam::hub
