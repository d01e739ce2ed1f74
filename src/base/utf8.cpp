// See utf8.h.
#include "base/utf8.h"

#include <algorithm>

namespace bantam {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// What the lead byte allows: the whole sequence's length and the range of its second byte (table 3-7).
struct Lead {
  uint32_t length;
  unsigned char second_min, second_max;
};

Lead classify_lead(unsigned char lead) {
  if (lead < 0xC2) return {0, 0, 0};
  if (lead < 0xE0) return {2, 0x80, 0xBF};
  if (lead == 0xE0) return {3, 0xA0, 0xBF};
  if (lead == 0xED) return {3, 0x80, 0x9F};
  if (lead < 0xF0) return {3, 0x80, 0xBF};
  if (lead == 0xF0) return {4, 0x90, 0xBF};
  if (lead < 0xF4) return {4, 0x80, 0xBF};
  if (lead == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

// How many of the bytes from `at` belong to one well-formed sequence or to a beginning of one; 0 when the first
// cannot begin any. *length gets the whole sequence's.
uint32_t well_formed_prefix(const char* at, const char* end, uint32_t* length) {
  const Lead lead = classify_lead(static_cast<unsigned char>(*at));
  *length = lead.length;
  if (lead.length == 0) return 0;
  uint32_t count = 1;
  for (; count < lead.length && at + count < end; ++count) {
    const auto byte = static_cast<unsigned char>(at[count]);
    const unsigned char low = count == 1 ? lead.second_min : 0x80;
    const unsigned char high = count == 1 ? lead.second_max : 0xBF;
    if (byte < low || byte > high) break;
  }
  return count;
}

}  // namespace

namespace utf8_detail {

Utf8Char decode_multibyte(const char* at, const char* end) {
  uint32_t length;
  if (well_formed_prefix(at, end, &length) != length || length == 0) return {kInvalidByte, 1};
  const auto byte = [at](int i) { return static_cast<char32_t>(static_cast<unsigned char>(at[i])); };
  if (length == 2) return {(byte(0) & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if (length == 3) return {(byte(0) & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
  return {(byte(0) & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F), 4};
}

}  // namespace utf8_detail

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_length(text, i);
    if (length == 0) return false;
    i += length;
  }
  return true;
}

void append_utf8(std::string* out, char32_t code) {
  const auto put = [out](char32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

void append_lossy(std::string* out, std::string_view bytes) {
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  const char* good = at;  // start of the well-formed stretch not yet copied
  while (at < end) {
    if (static_cast<unsigned char>(*at) < 0x80) {
      ++at;
      continue;
    }
    uint32_t length;
    const uint32_t have = well_formed_prefix(at, end, &length);
    if (have != 0 && have == length) {
      at += length;
      continue;
    }
    out->append(good, at);
    out->append(kReplacement);
    at += std::max(have, 1u);
    good = at;
  }
  out->append(good, end);
}

size_t incomplete_tail(std::string_view bytes) {
  const char* const end = bytes.data() + bytes.size();
  for (size_t back = 1; back <= 3 && back <= bytes.size(); ++back) {
    const auto byte = static_cast<unsigned char>(*(end - back));
    if ((byte & 0xC0) == 0x80) continue;  // a continuation byte: the lead is further back
    uint32_t length;
    const uint32_t have = well_formed_prefix(end - back, end, &length);
    return have == back && have < length ? back : 0;
  }
  return 0;
}

}  // namespace bantam
