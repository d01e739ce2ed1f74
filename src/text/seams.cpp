// Implements text/seams.h.
#include "text/seams.h"

#include <algorithm>
#include <cstring>

namespace bantam::text {
namespace {

constexpr bool is_wide_lead(char c) {
  return static_cast<unsigned char>(c) >= 0xE0;
}
constexpr bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

// The character of three or four bytes at `at`, or nothing when there is no such (whole) one.
std::string_view wide_character(std::string_view text, size_t at) {
  if (at >= text.size() || !is_wide_lead(text[at])) return {};
  const size_t length = static_cast<unsigned char>(text[at]) >= 0xF0 ? 4 : 3;
  if (text.size() - at < length) return {};
  for (size_t i = 1; i < length; ++i) {
    if (!is_continuation(text[at + i])) return {};
  }
  return text.substr(at, length);
}

// The same, for the character that ends at `end`.
std::string_view wide_character_before(std::string_view text, size_t end) {
  for (size_t length = 3; length <= 4 && length <= end; ++length) {
    const std::string_view found = wide_character(text, end - length);
    if (found.size() == length) return found;
  }
  return {};
}

uint32_t load_character(std::string_view character) {
  uint32_t value = 0;
  std::memcpy(&value, character.data(), character.size());
  return value;
}

size_t byte_pair(char left, char right) {
  return static_cast<size_t>(static_cast<unsigned char>(left)) << 8 | static_cast<unsigned char>(right);
}

void set_bit(std::vector<uint64_t>* bits, size_t at) {
  (*bits)[at / 64] |= uint64_t{1} << at % 64;
}
bool has_bit(const std::vector<uint64_t>& bits, size_t at) {
  return (bits[at / 64] >> at % 64 & 1) != 0;
}

size_t filter_bit(std::string_view left, std::string_view right, int filter_bits) {
  const uint64_t pair = uint64_t{load_character(left)} << 32 | load_character(right);
  return pair * 0x9E3779B97F4A7C15 >> (64 - filter_bits);
}

}  // namespace

Seams::Seams() : character_pairs_((size_t{1} << kFilterBits) / 64), byte_pairs_((size_t{1} << 16) / 64) {}

bool Seams::spans_characters(std::string_view left, std::string_view right) const {
  return has_bit(character_pairs_, filter_bit(left, right, kFilterBits));
}
bool Seams::spans_bytes(char left, char right) const {
  return has_bit(byte_pairs_, byte_pair(left, right));
}

void Seams::add_token(std::string_view bytes) {
  for (size_t at = 1; at < bytes.size(); ++at) {
    if (!is_wide_lead(bytes[at])) continue;
    const std::string_view left = wide_character_before(bytes, at);
    const std::string_view right = wide_character(bytes, at);
    if (!left.empty() && !right.empty()) {
      set_bit(&character_pairs_, filter_bit(left, right, kFilterBits));
    } else {
      set_bit(&byte_pairs_, byte_pair(bytes[at - 1], bytes[at]));
    }
  }
}

size_t Seams::part_end(std::string_view word, size_t begin) const {
  std::string_view left;  // the wide character that ends at `at`, if any
  for (size_t at = begin; at < word.size();) {
    const std::string_view right = wide_character(word, at);
    if (!left.empty() && !right.empty() && !spans_characters(left, right) && !spans_bytes(word[at - 1], word[at])) {
      return at;
    }
    left = right;
    at += std::max<size_t>(1, right.size());
  }
  return word.size();
}

}  // namespace bantam::text
