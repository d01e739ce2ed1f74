// A fast hash of short byte strings for the tokenizer's tables. Not for adversarial keys: every table that uses it
// compares the bytes too and is bounded in size. Stateless.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace bantam::text {

namespace detail {
inline uint64_t fold_product(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}
template <class T>
T load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
}  // namespace detail

inline uint64_t hash_bytes(std::string_view bytes) {
  constexpr uint64_t kA = 0x9E3779B97F4A7C15, kB = 0xD6E8FEB86659FD93;
  const char* at = bytes.data();
  size_t left = bytes.size();
  uint64_t state = kB * (left + 1);
  for (; left > 8; at += 8, left -= 8) state = detail::fold_product(state ^ detail::load<uint64_t>(at), kA);
  uint64_t tail = 0;
  if (left >= 4) {
    tail = detail::load<uint32_t>(at) | uint64_t{detail::load<uint32_t>(at + left - 4)} << 32;
  } else if (left > 0) {
    const auto byte = [at](size_t i) { return uint64_t{static_cast<unsigned char>(at[i])}; };
    tail = byte(0) | byte(left / 2) << 8 | byte(left - 1) << 16;
  }
  return detail::fold_product(state ^ tail, kA);
}

}  // namespace bantam::text
