// What a Tokenizer is made of, and the one way to make it: every loader turns its files into TokenizerData and calls
// make_tokenizer, which checks everything that must hold. For this room only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/added_matcher.h"
#include "text/bpe.h"
#include "text/seams.h"
#include "text/token_table.h"
#include "text/tokenizer.h"
#include "text/word_encoder.h"

namespace bantam::text {

struct TokenizerData {
  // BPE tokens by id in byte-level spelling; empty where an id has none (added tokens that are no BPE tokens, padding
  // rows, gaps).
  std::vector<std::string_view> tokens;
  std::vector<std::pair<std::string_view, std::string_view>> merges;  // in order of rank, byte-level spelling
  std::vector<AddedToken> added;
  std::string chat_template;
  std::string eos_token;  // content of the end-of-turn token, or empty
};

struct TokenizerParts {
  TokenizerParts(TokenTable table, Bpe bpe_in, Seams seams_in)
      : tokens(std::move(table)), bpe(std::move(bpe_in)), seams(std::move(seams_in)), whole_words(tokens, bpe) {}

  TokenTable tokens;
  Bpe bpe;
  Seams seams;
  WholeWords whole_words;         // refers to tokens and bpe: parts never move
  std::vector<AddedToken> added;  // by id
  AddedMatcher raw_matcher;       // tokens matched in the text as it came; finds indices into `added`
  AddedMatcher normal_matcher;    // tokens matched in its NFC form
  std::string chat_template;
  std::optional<int32_t> eos_id;
  int32_t size = 0;  // highest id with text, plus one
};

// The views in `data` need to live only during the call. Errors: no merge may name a token that is not there, every
// single byte must be a token, ids and contents must be unique.
Result<Tokenizer> make_tokenizer(TokenizerData data);

// Bounds ids before anything is sized by them: a file's ids must be dense enough that tables stay in proportion to it.
Status check_id(int64_t id, size_t tokens_in_file, std::string_view where);

}  // namespace bantam::text
