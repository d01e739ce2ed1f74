// Seams: places inside a word that no token spans, so that BPE of the word is BPE of the parts. In scripts written
// without spaces a BPE word is a whole clause; cut at its seams it falls into pieces of one to three characters, which
// are single tokens or recent ones nearly always. Built once from the vocabulary; immutable, so thread-safe.
//
// Exact, not a guess: any symbol that BPE makes across a place is a token of the vocabulary whose bytes are the word's
// there. Either it holds the whole character on both sides, and the pair of characters was noted, or it holds only a
// part of one, and the pair of bytes was noted. Notes are kept in a bit filter, whose false hits only lose a cut.
// Only characters of three or four bytes are looked at: with shorter ones nearly every pair occurs in some token.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace bantam::text {

class Seams {
 public:
  Seams();
  // Notes every pair that the token spans.
  void add_token(std::string_view bytes);
  // The end of the part that begins at `begin`: the first seam after it, or the word's end.
  size_t part_end(std::string_view word, size_t begin) const;

 private:
  static constexpr int kFilterBits = 19;  // 64 KiB: Qwen's 18,500 pairs give 3.5 % false hits
  bool spans_characters(std::string_view left, std::string_view right) const;
  bool spans_bytes(char left, char right) const;

  std::vector<uint64_t> character_pairs_;  // bit filter over a hash of the pair
  std::vector<uint64_t> byte_pairs_;       // one bit per pair of bytes
};

}  // namespace bantam::text
