// Makes a Tokenizer from what models bring: a folder, the same files in memory, or GGUF metadata that the caller has
// already read (this room knows no file formats beyond the tokenizer's own). Every input is untrusted: anything but
// the Qwen2 shape is an error that says what was expected and what came.
// Thread-safety: free functions without state.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "text/tokenizer.h"

namespace bantam::text {

// The contents of a model folder's tokenizer files; empty where the folder has none. Either tokenizer_json, or
// vocab_json and merges_txt (then the added tokens come from tokenizer_config_json). The template is
// chat_template_jinja if there is one, else tokenizer_config_json's.
struct TokenizerFiles {
  std::string_view tokenizer_json;
  std::string_view vocab_json;
  std::string_view merges_txt;
  std::string_view tokenizer_config_json;
  std::string_view chat_template_jinja;
};

// GGUF metadata under tokenizer.*: `tokens` and `merges` in byte-level spelling, a merge as "left right".
// token_types: 1 normal, 3 control, 4 user defined, 5 unused (padding, no text), 6 byte.
struct GgufTokenizer {
  std::string_view model;  // tokenizer.ggml.model: "gpt2"
  std::string_view pre;    // tokenizer.ggml.pre: "qwen2"
  std::span<const std::string_view> tokens;
  std::span<const std::string_view> merges;
  std::span<const int32_t> token_types;
  std::string_view chat_template;  // tokenizer.chat_template, or empty
  std::optional<int64_t> eos_id;   // tokenizer.ggml.eos_token_id
};

// Reads the tokenizer files of a model folder. kBadInput when they are absent, damaged or of another shape.
Result<Tokenizer> load_tokenizer_folder(const std::string& folder);
// The views need to live only during the call.
Result<Tokenizer> load_tokenizer(const TokenizerFiles& files);
Result<Tokenizer> load_tokenizer(const GgufTokenizer& gguf);

}  // namespace bantam::text
