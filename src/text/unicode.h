// Character properties that the tokenizer's split pattern and NFC need: one flat table of a byte per code point, built
// once per process (about 1.1 MB) from unicode_tables.cpp. Read by pre_tokenizer and nfc.
// Invariant: classes are those of the reference's regex engine and NFC data those of its normaliser, which follow
// different Unicode versions; tools/oracles/check_unicode.py compares every code point. Thread-safe: immutable.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/utf8.h"

namespace bantam::text {

// The split pattern tells apart \p{L}, \p{N}, \s and the rest; an invalid byte is kOther.
enum class CharClass : uint8_t { kOther = 0, kLetter = 1, kNumber = 2, kSpace = 3 };

// NFC_Quick_Check of UAX #15: kNo never occurs in NFC, kMaybe may combine with what stands before it.
enum class NfcCheck : uint8_t { kYes = 0, kMaybe = 1, kNo = 2 };

struct CharProps {
  CharClass char_class = CharClass::kOther;
  NfcCheck nfc_check = NfcCheck::kYes;
  uint8_t combining_class = 0;  // canonical combining class, ccc
  bool operator==(const CharProps&) const = default;
};

struct Decomposition {
  char32_t first = 0;
  char32_t second = 0;  // 0: the character decomposes to `first` alone
};

class Unicode {
 public:
  static const Unicode& get();

  // REQUIRES: a code point up to U+10FFFF or kInvalidByte, as decode_utf8 gives it.
  const CharProps& props(char32_t code) const { return records_[code < kCodePoints ? index_[code] : 0]; }
  CharClass char_class(char32_t code) const { return props(code).char_class; }

  // One step of canonical decomposition; {0, 0} when there is none. Hangul syllables included.
  Decomposition decompose(char32_t code) const;
  // The primary composite of first + second, or 0.
  char32_t compose(char32_t first, char32_t second) const;

 private:
  static constexpr char32_t kCodePoints = 0x110000;
  Unicode();
  uint8_t record_of(CharProps props);
  void fill_properties();

  std::vector<uint8_t> index_;          // code point -> record
  std::array<CharProps, 256> records_;  // record 0: other, yes, 0
  int record_count_ = 1;
  struct Pair {
    uint64_t key;  // first << 32 | second
    char32_t composite;
  };
  std::vector<Pair> composites_;  // sorted by key
};

}  // namespace bantam::text
