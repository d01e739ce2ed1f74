// Implementation of describe.h.
#include "formats/describe.h"

#include <fmt/format.h>

#include "base/utf8.h"

namespace bantam::formats {

std::string printable(std::string_view text, size_t max_chars) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (out.size() >= max_chars) return out + "...";
    const size_t n = utf8_length(text, i);
    const auto byte = static_cast<unsigned char>(text[i]);
    // C0, DEL and the C1 controls (0xC2 0x80..0x9F) could steer a terminal.
    const bool control =
        byte < 0x20 || byte == 0x7F || (n == 2 && byte == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0);
    if (n == 0 || control) {
      out += fmt::format("\\x{:02x}", byte);
      ++i;
      continue;
    }
    out.append(text.substr(i, n));
    i += n;
  }
  return out;
}

std::string with_commas(uint64_t value) {
  const std::string digits = fmt::format("{}", value);
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out.push_back(',');
    out.push_back(digits[i]);
  }
  return out;
}

}  // namespace bantam::formats
