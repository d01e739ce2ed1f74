// Implementation of json_cursor.h. No recursion: nesting is a bit set.
#include "formats/json_cursor.h"

#include <bitset>

#include "base/utf8.h"
#include "formats/describe.h"

namespace bantam::formats {
namespace {

constexpr int kMaxDepth = 64;

// Value of four hex digits at text[i], or -1.
int hex4(std::string_view text, size_t i) {
  if (text.size() < 4 || i > text.size() - 4) return -1;
  int value = 0;
  for (size_t k = i; k < i + 4; ++k) {
    const char c = text[k];
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

// Code point of the \uXXXX (or surrogate pair) whose digits start at raw[i]; *used digits and marks consumed after
// the first 'u'. -1 when malformed or a lone surrogate.
int64_t unicode_escape(std::string_view raw, size_t i, size_t* used) {
  const int high = hex4(raw, i);
  *used = 4;
  if (high < 0xD800 || high > 0xDFFF) return high;
  if (high > 0xDBFF || i + 6 > raw.size() || raw[i + 4] != '\\' || raw[i + 5] != 'u') return -1;
  const int low = hex4(raw, i + 6);
  if (low < 0xDC00 || low > 0xDFFF) return -1;
  *used = 10;
  return 0x10000 + (int64_t{high} - 0xD800) * 0x400 + (low - 0xDC00);
}

}  // namespace

void JsonCursor::skip_space() {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
    ++at_;
}

bool JsonCursor::accept(char c) {
  skip_space();
  if (at_ >= text_.size() || text_[at_] != c) return false;
  ++at_;
  return true;
}

std::string JsonCursor::place(size_t at) const {
  return fmt::format("at byte {} of {}", with_commas(first_byte_ + at), file_name_);
}

Status JsonCursor::unexpected(std::string_view what) {
  if (at_ >= text_.size()) return bad_input("expected {}, got the end of the JSON text {}", what, place());
  const size_t n = std::max<size_t>(1, utf8_length(text_, at_));
  return bad_input("expected {}, got '{}' {}", what, printable(text_.substr(at_, n)), place());
}

Status JsonCursor::expect(char c) {
  if (accept(c)) return {};
  return unexpected(fmt::format("'{}'", c));
}

Status JsonCursor::end() {
  skip_space();
  return at_ == text_.size() ? Status() : unexpected("the end of the text");
}

Status JsonCursor::string(StringArena* arena, std::string_view* out) {
  skip_space();
  if (at_ >= text_.size() || text_[at_] != '"') return unexpected("a string");
  const size_t begin = ++at_;
  bool escaped = false;
  for (;; ++at_) {
    if (at_ >= text_.size()) return unexpected("a closing quote");
    const char c = text_[at_];
    if (c == '"') break;
    if (static_cast<unsigned char>(c) < 0x20) return unexpected("no control character in a string");
    if (c == '\\') {
      escaped = true;
      if (++at_ >= text_.size()) return unexpected("an escaped character");
    }
  }
  const std::string_view raw = text_.substr(begin, at_ - begin);
  ++at_;
  if (!is_utf8(raw)) return bad_input("expected UTF-8 in a string, got '{}' {}", printable(raw), place(begin));
  *out = raw;
  if (!escaped) return {};
  std::string plain;
  BANTAM_TRY(unescape(raw, begin, &plain));
  arena->push_front(std::move(plain));
  *out = arena->front();
  return {};
}

Status JsonCursor::unescape(std::string_view raw, size_t at, std::string* out) const {
  constexpr std::string_view kMarks = "\"\\/bfnrt";
  constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
  out->reserve(raw.size());
  for (size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\') {
      out->push_back(raw[i]);
      continue;
    }
    const char mark = raw[++i];  // present: string() never ends a raw text on a lone backslash
    if (const size_t known = kMarks.find(mark); known != std::string_view::npos) {
      out->push_back(kMeanings[known]);
      continue;
    }
    size_t used = 0;
    const int64_t code = mark == 'u' ? unicode_escape(raw, i + 1, &used) : -1;
    if (code < 0) return bad_input("expected a valid escape in a string, got '{}' {}", printable(raw), place(at));
    append_utf8(out, static_cast<char32_t>(code));
    i += used;
  }
  return {};
}

Status JsonCursor::size(uint64_t* out) {
  skip_space();
  const size_t begin = at_;
  uint64_t value = 0;
  while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
    if (at_ - begin >= 19 || (at_ > begin && text_[begin] == '0'))
      return unexpected("an integer below 2^63 without leading zeros");
    value = value * 10 + static_cast<uint64_t>(text_[at_++] - '0');  // at most 19 digits: below 10^19 < 2^64
  }
  if (at_ == begin || value > static_cast<uint64_t>(INT64_MAX)) {
    at_ = begin;
    return unexpected("an integer from 0 to 2^63-1");
  }
  *out = value;
  return {};
}

Status JsonCursor::skip_scalar() {
  skip_space();
  const size_t begin = at_;
  if (begin < text_.size() && text_[begin] == '"') {
    StringArena scratch;
    std::string_view ignored;
    return string(&scratch, &ignored);
  }
  constexpr std::string_view kEnds = ",]} \n\r\t";
  while (at_ < text_.size() && kEnds.find(text_[at_]) == std::string_view::npos) ++at_;
  const std::string_view token = text_.substr(begin, at_ - begin);
  const bool number = !token.empty() && token.find_first_not_of("+-.0123456789eE") == std::string_view::npos;
  if (token == "true" || token == "false" || token == "null" || number) return {};
  at_ = begin;
  return unexpected("a JSON value");
}

Status JsonCursor::skip_value() {
  std::bitset<kMaxDepth> is_object;
  int depth = 0;
  for (;;) {
    ++values_skipped_;
    const bool opens_object = accept('{');
    const bool opens = opens_object || accept('[');
    bool closed = false;
    if (opens) {
      if (depth == kMaxDepth) return unexpected(fmt::format("at most {} levels of nesting", kMaxDepth));
      is_object[static_cast<size_t>(depth++)] = opens_object;
      closed = accept(opens_object ? '}' : ']');
      if (closed) --depth;
    } else {
      BANTAM_TRY(skip_scalar());
      closed = true;
    }
    // After a complete value: close what ends here, then go to the next member.
    while (closed && depth > 0 && !accept(',')) {
      BANTAM_TRY(expect(is_object[static_cast<size_t>(depth - 1)] ? '}' : ']'));
      --depth;
    }
    if (depth == 0) return {};
    if (is_object[static_cast<size_t>(depth - 1)]) {
      StringArena scratch;
      std::string_view ignored;
      BANTAM_TRY(string(&scratch, &ignored));
      BANTAM_TRY(expect(':'));
    }
  }
}

}  // namespace bantam::formats
