// Byte-pair encoding of one word: start from bytes, then again and again join the pair with the lowest rank, leftmost
// first (Sennrich, Haddow, Birch: "Neural machine translation of rare words with subword units", ACL 2016). Owned by
// the tokenizer; immutable after create(), so thread-safe; scratch memory is the caller's.
//
// Cost: short words scan a small array for the lowest rank; long ones use sorted generations and a heap, n log n at
// worst, so a word of a megabyte is no trouble.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bantam::text {

// Joining `left` and `right` gives `merged`. A list of these is in order of rank.
struct Merge {
  int32_t left, right, merged;
};

inline constexpr int32_t kMaxTokenIds = 1 << 20;  // ids and ranks share one 64-bit slot of the pair table
inline constexpr int32_t kMaxMerges = (1 << 24) - 1;

class Bpe {
 public:
  struct Symbol {
    int32_t id, previous, next;  // neighbours' positions, -1 at the ends
    uint32_t rank;               // of the pair it makes with the next
  };
  struct Scratch {  // reused between words
    std::vector<Symbol> symbols;
    std::vector<uint64_t> generation, next_generation, heap;
  };

  // byte_ids: the id of each single byte. Of merges with the same pair the last counts, as in the reference.
  // Errors: more than kMaxMerges, or an id outside 0..kMaxTokenIds-1.
  static Result<Bpe> create(const std::array<int32_t, 256>& byte_ids, std::span<const Merge> merges);

  // Appends the ids of `word` to *out.
  void encode(std::string_view word, Scratch* scratch, std::vector<int32_t>* out) const;
  int32_t byte_id(unsigned char byte) const { return byte_ids_[byte]; }

 private:
  Bpe() = default;
  void encode_short(std::string_view word, std::vector<int32_t>* out) const;
  void encode_long(std::string_view word, Scratch* scratch, std::vector<int32_t>* out) const;
  template <class Wait>
  void join_long(uint64_t pair, std::vector<Symbol>& symbols, Wait wait) const;
  // The rank of the pair, or kNoRank.
  uint32_t rank_of(int32_t left, int32_t right) const;
  uint32_t byte_pair_rank(char left, char right) const {
    return byte_pair_ranks_[static_cast<size_t>(static_cast<unsigned char>(left)) << 8 |
                            static_cast<unsigned char>(right)];
  }

  std::array<int32_t, 256> byte_ids_{};
  std::vector<uint32_t> byte_pair_ranks_;  // [left byte << 8 | right byte]
  std::vector<uint64_t> pairs_;            // open addressing: left << 44 | right << 24 | rank
  int pairs_shift_ = 0;                    // 64 - log2(pairs_.size())
  std::vector<int32_t> merged_;            // by rank
};

}  // namespace bantam::text
