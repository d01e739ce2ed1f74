// Bytes of untrusted files in messages: names made printable and short, offsets with thousands separators. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bantam::formats {

// The text itself when it is printable UTF-8 and short; else escaped, and cut at about max_chars with "...".
std::string printable(std::string_view text, size_t max_chars = 100);
// 81920 -> "81,920".
std::string with_commas(uint64_t value);

}  // namespace bantam::formats
