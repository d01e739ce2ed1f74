// The readers behind load_tokenizer: one per kind of file, each filling its part of TokenizerData. Views in the result
// point into the reader's parser or the given text. For this room only.
#pragma once

#include <simdjson.h>

#include <string_view>

#include "base/result.h"
#include "text/tokenizer_parts.h"

namespace bantam::text {

// tokenizer.json of Hugging Face `tokenizers`: tokens, merges and added tokens. Anything that makes it tokenize unlike
// Qwen2 (another model, normaliser, split, decoder, option) is an error; truncation and padding are a caller's wish
// saved with the file and ignored.
Status read_tokenizer_json(std::string_view text, simdjson::dom::parser* parser, TokenizerData* data);

// vocab.json and merges.txt: tokens and merges.
Status read_vocab_files(std::string_view vocab_json, std::string_view merges_txt, simdjson::dom::parser* parser,
                        TokenizerData* data);

// The vocabulary object {"spelling": id, ...} that both kinds of file hold. `added` counts tokens listed elsewhere, as
// ids may run on over them.
Status read_vocabulary(const simdjson::dom::object& vocabulary, size_t added, std::string_view where,
                       TokenizerData* data);

// A merge as one text, "left right", into its halves.
Status split_merge(std::string_view text, size_t rank, std::string_view where, TokenizerData* data);

}  // namespace bantam::text
