// UTF-8, character properties and NFC: the reference's tables are compared for every code point by
// tools/oracles/check_unicode.py; here are the invariants and the corners that need no reference.
#include "text/unicode.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"
#include "base/utf8.h"
#include "text/nfc.h"
#include "text/unicode_tables.h"

namespace bantam::text {
namespace {

std::string utf8(std::u32string_view codes) {
  std::string out;
  for (const char32_t c : codes) append_utf8(&out, c);
  return out;
}

std::string nfc(std::string_view text) {
  std::string buffer;
  return std::string(to_nfc(text, &buffer));
}

std::string lossy(std::string_view bytes) {
  std::string out;
  append_lossy(&out, bytes);
  return out;
}

bool is_surrogate(char32_t code) {
  return code >= 0xD800 && code <= 0xDFFF;
}

TEST(Utf8, EveryScalarValueRoundTripsAndIsNeverCutShort) {
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (is_surrogate(code)) continue;
    const std::string text = utf8({&code, 1});
    const Utf8Char c = decode_utf8(text.data(), text.data() + text.size());
    ASSERT_EQ(c.code, code);
    ASSERT_EQ(c.length, text.size());
    ASSERT_EQ(lossy(text), text);
    ASSERT_EQ(incomplete_tail(text), 0u);
    for (size_t cut = 1; cut < text.size(); ++cut) {
      ASSERT_EQ(incomplete_tail(text.substr(0, cut)), cut) << static_cast<uint32_t>(code);
      ASSERT_EQ(decode_utf8(text.data(), text.data() + cut).code, kInvalidByte);
      ASSERT_EQ(lossy(text.substr(0, cut)), "\uFFFD");  // one mark for a cut sequence, however long
    }
  }
}

TEST(Utf8, IllFormedBytesFollowTable37) {
  EXPECT_EQ(lossy("\xC0\x80"), "\uFFFD\uFFFD");            // overlong
  EXPECT_EQ(lossy("\xE0\x80\x80"), "\uFFFD\uFFFD\uFFFD");  // overlong: no continuation belongs to E0
  EXPECT_EQ(lossy("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // a surrogate
  EXPECT_EQ(lossy("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(lossy("\xF5\xFF"), "\uFFFD\uFFFD");
  EXPECT_EQ(lossy("a\xE4\xB8z"), "a\uFFFDz");
  EXPECT_EQ(lossy("\xF0\x9F\x98\xF0\x9F\x98\x80"), "\uFFFD\U0001F600");
  EXPECT_EQ(incomplete_tail("\xE0\x80"), 0u);  // nothing can complete it
  EXPECT_EQ(incomplete_tail("ab\x80"), 0u);
  EXPECT_EQ(incomplete_tail("\xF0\x9F\x98"), 3u);
}

TEST(Unicode, ClassesOfTheSplitPattern) {
  const Unicode& unicode = Unicode::get();
  const auto expect = [&](CharClass wanted, std::u32string_view codes) {
    for (const char32_t c : codes)
      EXPECT_EQ(unicode.char_class(c), wanted) << "U+" << std::hex << static_cast<uint32_t>(c);
  };
  expect(CharClass::kLetter, U"aZéßАب中あ한ªʰ\U00020000\U0001E900");
  expect(CharClass::kNumber, U"09²¾٣१Ⅳ①\U0001D7D8");
  expect(CharClass::kSpace, U"\t\n\v\f\r \u0085\u00A0\u1680\u2000\u200A\u2028\u2029\u202F\u205F\u3000");
  expect(CharClass::kOther, U"_-.\u0301\u093F\u200B\u200D\u180E\uFEFF😀\u001C\uFFFD");
  EXPECT_EQ(unicode.char_class(kInvalidByte), CharClass::kOther);
}

TEST(Unicode, OnlyFirstPartsDecomposeFurtherAndAtMostThreeTimes) {
  const Unicode& unicode = Unicode::get();
  for (const DecompositionRow& row : kDecompositions) {
    EXPECT_TRUE(row.second == 0 || unicode.decompose(row.second).first == 0) << std::hex << row.code;
    int steps = 0;
    for (char32_t code = row.code & ~kComposes; unicode.decompose(code).first != 0; ++steps) {
      code = unicode.decompose(code).first;
    }
    EXPECT_LE(steps, 3) << std::hex << row.code;
  }
}

TEST(Nfc, ComposesOrdersAndLeavesTheRest) {
  EXPECT_EQ(nfc("e\u0301"), "é");
  EXPECT_EQ(nfc("q\u0307\u0323"), "q\u0323\u0307");             // ordered, nothing to compose
  EXPECT_EQ(nfc("d\u0307\u0323"), "\u1E0D\u0307");              // the later mark composes after ordering
  EXPECT_EQ(nfc("a\u0328\u0327\u0301"), "\u0105\u0327\u0301");  // blocked by a mark of the same class as the last
  EXPECT_EQ(nfc("\u1100\u1161\u11A8"), "각");
  EXPECT_EQ(nfc("\uAC00\u11A7"), "\uAC00\u11A7");  // U+11A7 is no trailing consonant
  EXPECT_EQ(nfc("\u212B\u2126\u0958\uF900"), "\u00C5\u03A9\u0915\u093C\u8C48");
  EXPECT_EQ(nfc("\u0344"), "\u0308\u0301");
  EXPECT_EQ(nfc("\u1E9B\u0323"), "\u1E9B\u0323");
  EXPECT_EQ(nfc("ﬁ①"), "ﬁ①");  // compatibility forms stay
  EXPECT_EQ(nfc(""), "");
}

TEST(Nfc, TextInNfcIsNotCopied) {
  for (const std::string text : {"plain", "déjà vu 中文 한국어 हिन्दी 😀", "e\u0327\u0301x"}) {
    std::string buffer = "untouched";
    EXPECT_EQ(to_nfc(nfc(text), &buffer).empty(), false);
    EXPECT_EQ(buffer, "untouched") << text;
  }
}

TEST(Nfc, BytesThatAreNotUtf8StayWhereTheyAre) {
  EXPECT_EQ(nfc("\xFF\u0301"), "\xFF\u0301");
  EXPECT_EQ(nfc("\xC3\u0301"
                "e\u0301\xE4\xB8"),
            "\xC3\u0301é\xE4\xB8");
  EXPECT_EQ(nfc("e\x80\u0301"), "e\x80\u0301");  // the byte stands between
  EXPECT_EQ(nfc("\x80\x80\u0323\u0307\u0323"), "\x80\x80\u0323\u0323\u0307");
}

// Random strings of what NFC has rules for: normalising twice, in pieces' order, or from the decomposed form is the
// same.
TEST(Nfc, IdempotentAndEqualForEquivalentTexts) {
  const Unicode& unicode = Unicode::get();
  std::vector<char32_t> special;
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (is_surrogate(code)) continue;
    if (unicode.props(code).combining_class != 0 || unicode.decompose(code).first != 0) special.push_back(code);
  }
  Philox rng(11);
  for (int round = 0; round < 20000; ++round) {
    std::u32string text;
    for (uint32_t i = 1 + rng.below(40); i > 0; --i)
      text += rng.below(4) == 0 ? U"aeo가한क"[rng.below(6)] : special[rng.below(static_cast<uint32_t>(special.size()))];
    std::u32string decomposed;
    for (const char32_t c : text) {
      const Decomposition parts = unicode.decompose(c);
      if (parts.first == 0) {
        decomposed += c;
      } else {
        decomposed += parts.first;
        if (parts.second != 0) decomposed += parts.second;
      }
    }
    const std::string normal = nfc(utf8(text));
    ASSERT_EQ(nfc(normal), normal);
    ASSERT_EQ(nfc(utf8(decomposed)), normal);
  }
}

TEST(Nfc, EditsSayWhatBecameOfWhat) {
  const std::string text = "ab e\u0301 cd \u212B o\u0308\u0323z";
  std::string buffer;
  std::vector<NfcEdit> edits;
  const std::string_view normal = to_nfc(text, &buffer, &edits);
  ASSERT_EQ(edits.size(), 3u);
  size_t in = 0, out = 0;
  for (const NfcEdit& edit : edits) {  // what lies between edits is copied
    ASSERT_EQ(text.substr(in, edit.in_begin - in), normal.substr(out, edit.out_begin - out));
    in = edit.in_end;
    out = edit.out_end;
  }
  EXPECT_EQ(text.substr(in), normal.substr(out));
  EXPECT_EQ(normal.substr(edits[0].out_begin, edits[0].out_end - edits[0].out_begin), "é");
}

}  // namespace
}  // namespace bantam::text
