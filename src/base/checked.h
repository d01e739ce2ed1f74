// Overflow-checked arithmetic for every size that comes out of a file or a request.
// Functions return false on overflow and leave *out unspecified; no input can make them wrap silently.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

namespace bantam {

template <class T>
[[nodiscard]] inline bool checked_add(T a, T b, T* out) {
  return !__builtin_add_overflow(a, b, out);
}
template <class T>
[[nodiscard]] inline bool checked_mul(T a, T b, T* out) {
  return !__builtin_mul_overflow(a, b, out);
}
// Rounds value up to a multiple of alignment. REQUIRES: alignment is a power of two.
[[nodiscard]] inline bool checked_align_up(uint64_t value, uint64_t alignment, uint64_t* out) {
  uint64_t bumped;
  if (!checked_add(value, alignment - 1, &bumped)) return false;
  *out = bumped & ~(alignment - 1);
  return true;
}
// Narrows or changes sign only when the value survives.
template <class To, class From>
[[nodiscard]] inline bool checked_cast(From value, To* out) {
  static_assert(std::is_integral_v<To> && std::is_integral_v<From>);
  *out = static_cast<To>(value);
  return static_cast<From>(*out) == value && ((*out < To{}) == (value < From{}));
}

}  // namespace bantam
