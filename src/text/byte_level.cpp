// Implements text/byte_level.h (the table of GPT-2's bytes_to_unicode: bytes with a visible Latin-1 character stand for
// themselves, the other 68 are numbered from U+0100 on).
#include "text/byte_level.h"

#include <array>
#include <cstdint>

#include "base/utf8.h"

namespace bantam::text {
namespace {

constexpr size_t kSpellings = 256 + 68;  // characters U+0000..U+0143
constexpr int16_t kNoByte = -1;

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr std::array<int16_t, kSpellings> kByteOf = [] {
  std::array<int16_t, kSpellings> table{};
  size_t next = 256;
  for (unsigned byte = 0; byte < 256; ++byte) {
    table[byte] = stands_for_itself(byte) ? static_cast<int16_t>(byte) : kNoByte;
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (!stands_for_itself(byte)) table[next++] = static_cast<int16_t>(byte);
  }
  return table;
}();

}  // namespace

bool append_byte_level(std::string* out, std::string_view spelled) {
  const size_t before = out->size();
  const char* const end = spelled.data() + spelled.size();
  for (const char* at = spelled.data(); at < end;) {
    const Utf8Char c = decode_utf8(at, end);
    if (c.code >= kSpellings || kByteOf[c.code] == kNoByte) {
      out->resize(before);
      out->append(spelled);
      return false;
    }
    out->push_back(static_cast<char>(kByteOf[c.code]));
    at += c.length;
  }
  return true;
}

}  // namespace bantam::text
