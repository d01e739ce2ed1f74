// Words to ids, fast: most words of real text are single tokens or were seen a moment ago, and BPE runs for the rest.
//
// WholeWords (one per tokenizer, shared by threads) answers "is this word one token?" from the token table. A token's
// bytes need not encode to that token under any merge list, so each is proven by running BPE on it when first met; the
// answer is remembered in one relaxed atomic byte per id (a race only repeats the same proof).
// WordEncoder (one per call) cuts words at their seams (seams.h) and keeps a cache of the call's own recent parts:
// direct-mapped, bounded, and gone with the call, so no input can grow it. It holds no copies: an entry points at an
// earlier place in the text and in the output.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "text/bpe.h"
#include "text/seams.h"
#include "text/token_table.h"

namespace bantam::text {

class WholeWords {
 public:
  // `tokens` and `bpe` must outlive this.
  WholeWords(const TokenTable& tokens, const Bpe& bpe)
      : tokens_(tokens), bpe_(bpe), proof_(new std::atomic<uint8_t>[static_cast<size_t>(tokens.size())]()) {}
  // The id that is the whole encoding of `word`, or -1.
  int32_t find(std::string_view word, uint64_t hash, Bpe::Scratch* scratch) const;

 private:
  bool prove(int32_t id, std::string_view word, Bpe::Scratch* scratch) const;
  const TokenTable& tokens_;
  const Bpe& bpe_;
  std::unique_ptr<std::atomic<uint8_t>[]> proof_;  // by id: 0 not tried, 1 whole, 2 not
};

class WordEncoder {
 public:
  // text_bytes: about how much will be encoded, to size the cache. Texts given to encode() must stay in place for the
  // encoder's life, and *out may only grow meanwhile.
  WordEncoder(const WholeWords& whole_words, const Bpe& bpe, const Seams& seams, size_t text_bytes,
              std::vector<int32_t>* out);
  // Splits `text` into words and appends their ids.
  void encode(std::string_view text);

 private:
  struct Entry {
    uint64_t hash = 0;
    const char* part = nullptr;
    uint32_t bytes = 0;
    uint32_t ids = 0;
    size_t first_id = 0;  // index into *out_
  };
  void encode_parts(std::string_view word);
  void encode_part(std::string_view part);

  const WholeWords& whole_words_;
  const Bpe& bpe_;
  const Seams& seams_;
  std::vector<int32_t>* out_;
  Bpe::Scratch scratch_;
  std::vector<Entry> cache_;  // a power of two
};

}  // namespace bantam::text
