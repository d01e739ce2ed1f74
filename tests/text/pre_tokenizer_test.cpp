// The split: hand-written cases, then the scanner against a plain backtracking reading of the pattern on random text.
#include "text/pre_tokenizer.h"

#include <gmock/gmock.h>

#include <vector>

#include "base/rng.h"
#include "text/unicode.h"

namespace bantam::text {
namespace {

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = word_end(text, at);
    EXPECT_GT(end, at);
    EXPECT_LE(end, text.size());
    out.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return out;
}

// The pattern read alternative by alternative on code points: slow and obvious.
class Pattern {
 public:
  explicit Pattern(std::u32string text) : text_(std::move(text)) {}
  size_t match(size_t at) const {
    const auto is = [&](size_t i, CharClass c) { return i < text_.size() && Unicode::get().char_class(text_[i]) == c; };
    const auto in = [&](size_t i, std::u32string_view set) {
      return i < text_.size() && set.find(text_[i]) != set.npos;
    };
    const auto run = [&](size_t i, CharClass c) {
      while (is(i, c)) ++i;
      return i;
    };
    if (in(at, U"'")) {
      if (in(at + 1, U"stmdSTMD\u017F")) return at + 2;
      if (in(at + 1, U"rvRV") && in(at + 2, U"eE")) return at + 3;
      if (in(at + 1, U"lL") && in(at + 2, U"lL")) return at + 3;
    }
    const bool optional = !in(at, U"\r\n") && !is(at, CharClass::kLetter) && !is(at, CharClass::kNumber);
    if (optional && is(at + 1, CharClass::kLetter)) return run(at + 1, CharClass::kLetter);
    if (is(at, CharClass::kLetter)) return run(at, CharClass::kLetter);
    if (is(at, CharClass::kNumber)) return at + 1;
    for (const size_t begin : {in(at, U" ") ? at + 1 : at, at}) {
      if (!is(begin, CharClass::kOther)) continue;
      size_t end = run(begin, CharClass::kOther);
      while (in(end, U"\r\n")) ++end;
      return end;
    }
    const size_t space_end = run(at, CharClass::kSpace);
    for (size_t end = space_end; end > at; --end) {
      if (in(end - 1, U"\r\n")) return end;
    }
    for (size_t end = space_end; end > at; --end) {
      if (end == text_.size() || is(end, CharClass::kSpace)) return end;
    }
    return space_end;
  }

 private:
  std::u32string text_;
};

TEST(PreTokenizer, Cases) {
  using testing::ElementsAre;
  EXPECT_THAT(words("Hello world"), ElementsAre("Hello", " world"));
  EXPECT_THAT(words("it's IT'S we'Ll x'\u017Fy 'l"),
              ElementsAre("it", "'s", " IT", "'S", " we", "'Ll", " x", "'\u017F", "y", " '", "l"));
  EXPECT_THAT(words("a1234 5"), ElementsAre("a", "1", "2", "3", "4", " ", "5"));
  EXPECT_THAT(words("x   y"), ElementsAre("x", "  ", " y"));
  EXPECT_THAT(words("x  "), ElementsAre("x", "  "));
  EXPECT_THAT(words("x \n\n  y"), ElementsAre("x", " \n\n", " ", " y"));
  EXPECT_THAT(words("a  !!\r\n\r\n b"), ElementsAre("a", " ", " !!\r\n\r\n", " b"));
  EXPECT_THAT(words("\ta\n\tb\u00A0c \u3000。d"), ElementsAre("\ta", "\n", "\tb", "\u00A0c", " ", "\u3000", "。d"));
  EXPECT_THAT(words("(中文)é\u0301"), ElementsAre("(中文", ")é", "\u0301"));
  EXPECT_THAT(words("a\xFF\xFE"
                    "b"),
              ElementsAre("a", "\xFF\xFE", "b"));
  EXPECT_THAT(words("'"), ElementsAre("'"));
  EXPECT_THAT(words("''s"), ElementsAre("''", "s"));
}

TEST(PreTokenizer, EqualsThePatternOnRandomText) {
  constexpr std::u32string_view kAlphabet =
      U"aStlLrEvemD\u017F\u212A中한é1٣Ⅳ'''!.-\u0301😀\u200D   \n\r\t\u00A0\u3000\u2028";
  Philox rng(3);
  for (int round = 0; round < 200000; ++round) {
    std::u32string text;
    for (uint32_t i = 1 + rng.below(14); i > 0; --i) text += kAlphabet[rng.below(kAlphabet.size())];
    const Pattern pattern(text);
    std::string bytes;
    std::vector<size_t> offset;  // of each character, in bytes
    for (const char32_t c : text) {
      offset.push_back(bytes.size());
      append_utf8(&bytes, c);
    }
    offset.push_back(bytes.size());
    for (size_t at = 0; at < text.size();) {
      const size_t end = pattern.match(at);
      ASSERT_EQ(word_end(bytes, offset[at]), offset[end]) << bytes << " at character " << at;
      at = end;
    }
  }
}

}  // namespace
}  // namespace bantam::text
