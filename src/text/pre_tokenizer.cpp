// Implements text/pre_tokenizer.h. The comments (1)..(7) are the alternatives of the pattern, tried in that order.
#include "text/pre_tokenizer.h"

#include <array>

#include "base/utf8.h"
#include "text/unicode.h"

namespace bantam::text {
namespace {

constexpr std::array<CharClass, 128> kAsciiClass = [] {
  std::array<CharClass, 128> table{};
  for (size_t c = 0; c < 128; ++c) {
    const size_t lower = c | 0x20;
    if (lower >= 'a' && lower <= 'z') table[c] = CharClass::kLetter;
    if (c >= '0' && c <= '9') table[c] = CharClass::kNumber;
    if (c == ' ' || (c >= '\t' && c <= '\r')) table[c] = CharClass::kSpace;
  }
  return table;
}();

// A position in the text with the class of the character there.
class Scanner {
 public:
  Scanner(std::string_view text, size_t begin)
      : unicode_(Unicode::get()), begin_(text.data() + begin), end_(text.data() + text.size()) {}

  size_t word_length() const;

 private:
  struct Char {
    CharClass char_class;
    uint32_t length;
  };

  Char look(const char* at) const {
    const auto byte = static_cast<unsigned char>(*at);
    if (byte < 0x80) return {kAsciiClass[byte], 1};
    const Utf8Char c = decode_utf8(at, end_);
    return {unicode_.char_class(c.code), c.length};
  }
  bool is(CharClass wanted, const char* at) const { return at < end_ && look(at).char_class == wanted; }
  // The end of the run of `wanted` characters from `at`.
  const char* skip(CharClass wanted, const char* at) const {
    while (at < end_) {
      const Char c = look(at);
      if (c.char_class != wanted) break;
      at += c.length;
    }
    return at;
  }
  static bool is_line_break(char c) { return c == '\r' || c == '\n'; }

  size_t contraction_length() const;
  const char* symbols_end(const char* at) const;
  const char* white_space_end() const;

  const Unicode& unicode_;
  const char* begin_;
  const char* end_;
};

// (1) after the apostrophe at begin_: whole length, or 0. Case folding is Unicode's, so U+017F (long s) is an s; the
// other letters have no such relatives.
size_t Scanner::contraction_length() const {
  const auto lower = [this](int i) { return end_ - begin_ > i ? begin_[i] | 0x20 : 0; };
  switch (lower(1)) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return 2;
    case 'r':
    case 'v':
      return lower(2) == 'e' ? 3 : 0;
    case 'l':
      return lower(2) == 'l' ? 3 : 0;
    default:
      return std::string_view(begin_ + 1, static_cast<size_t>(end_ - begin_ - 1)).starts_with("\u017F") ? 3 : 0;
  }
}

// (4) from the first symbol on: symbols, then line breaks.
const char* Scanner::symbols_end(const char* at) const {
  at = skip(CharClass::kOther, at);
  while (at < end_ && is_line_break(*at)) ++at;
  return at;
}

// (5), (6), (7): begin_ is white space that no other alternative takes.
const char* Scanner::white_space_end() const {
  const char* at = begin_;
  const char* last = begin_;               // the run's last character
  const char* after_line_break = nullptr;  // behind the run's last line break
  while (at < end_) {
    const Char c = look(at);
    if (c.char_class != CharClass::kSpace) break;
    last = at;
    at += c.length;
    if (is_line_break(*last)) after_line_break = at;
  }
  if (after_line_break != nullptr) return after_line_break;  // (5)
  if (at == end_) return at;                                 // (6): nothing follows
  return last != begin_ ? last : at;  // (6): all but the last, so that white space follows; (7): that one alone
}

size_t Scanner::word_length() const {
  const Char first = look(begin_);
  const char* const next = begin_ + first.length;
  const auto length_to = [this](const char* at) { return static_cast<size_t>(at - begin_); };
  if (*begin_ == '\'') {
    if (const size_t length = contraction_length(); length != 0) return length;  // (1)
  }
  switch (first.char_class) {
    case CharClass::kLetter:
      return length_to(skip(CharClass::kLetter, next));  // (2)
    case CharClass::kNumber:
      return first.length;  // (3)
    case CharClass::kOther:
      if (is(CharClass::kLetter, next)) return length_to(skip(CharClass::kLetter, next));  // (2)
      return length_to(symbols_end(next));                                                 // (4)
    case CharClass::kSpace:
      break;
  }
  if (!is_line_break(*begin_) && is(CharClass::kLetter, next)) return length_to(skip(CharClass::kLetter, next));  // (2)
  if (*begin_ == ' ' && is(CharClass::kOther, next)) return length_to(symbols_end(next));                         // (4)
  return length_to(white_space_end());
}

}  // namespace

size_t word_end(std::string_view text, size_t begin) {
  return begin + Scanner(text, begin).word_length();
}

}  // namespace bantam::text
