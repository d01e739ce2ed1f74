// UTF-8 one character at a time, for every scanner of the house. Total over any bytes: what is not part of a
// well-formed sequence (Unicode 3.9, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF) comes out as
// one invalid byte. Stateless, hence thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bantam {

inline constexpr char32_t kInvalidByte = 0xFFFFFFFF;

struct Utf8Char {
  char32_t code;    // kInvalidByte when the bytes are not UTF-8
  uint32_t length;  // bytes taken: 1..4, and 1 for an invalid byte
};

namespace utf8_detail {
Utf8Char decode_multibyte(const char* at, const char* end);
}

// The character at `at`. REQUIRES: at < end.
inline Utf8Char decode_utf8(const char* at, const char* end) {
  const auto first = static_cast<unsigned char>(*at);
  if (first < 0x80) return {first, 1};
  return utf8_detail::decode_multibyte(at, end);
}

// Length in bytes, 1..4, of the well-formed sequence at text[i]; 0 when there is none. REQUIRES: i < text.size().
inline size_t utf8_length(std::string_view text, size_t i) {
  const Utf8Char c = decode_utf8(text.data() + i, text.data() + text.size());
  return c.code == kInvalidByte ? 0 : c.length;
}
bool is_utf8(std::string_view text);

// Appends `code` as UTF-8. REQUIRES: a Unicode scalar value.
void append_utf8(std::string* out, char32_t code);

// Appends `bytes` with every maximal subpart of an ill-formed sequence as one U+FFFD (Unicode 3.9, U+FFFD
// substitution; what Rust's String::from_utf8_lossy does).
void append_lossy(std::string* out, std::string_view bytes);

// How many bytes at the end of `bytes` are a beginning of a well-formed sequence that more bytes could complete: 0..3.
size_t incomplete_tail(std::string_view bytes);

}  // namespace bantam
