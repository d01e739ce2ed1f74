// load_tokenizer(GgufTokenizer) of text/tokenizer_loader.h.
#include "text/tokenizer_loader.h"
#include "text/tokenizer_readers.h"

namespace bantam::text {
namespace {

// tokenizer.ggml.token_type as llama.cpp writes it.
enum GgufTokenType : int32_t { kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

Status check_shape(const GgufTokenizer& gguf) {
  if (gguf.model != "gpt2") {
    return bad_input("gguf: tokenizer.ggml.model: expected \"gpt2\", got \"{}\"", gguf.model.substr(0, 80));
  }
  if (gguf.pre != "qwen2") {
    return bad_input("gguf: tokenizer.ggml.pre: expected \"qwen2\", got \"{}\"", gguf.pre.substr(0, 80));
  }
  if (gguf.tokens.size() > static_cast<size_t>(kMaxTokenIds)) {
    return bad_input("gguf: tokenizer.ggml.tokens: expected at most {}, got {}", kMaxTokenIds, gguf.tokens.size());
  }
  if (gguf.token_types.size() != gguf.tokens.size()) {
    return bad_input("gguf: tokenizer.ggml.token_type: expected {} entries, as there are tokens, got {}",
                     gguf.tokens.size(), gguf.token_types.size());
  }
  return {};
}

}  // namespace

Result<Tokenizer> load_tokenizer(const GgufTokenizer& gguf) {
  BANTAM_TRY(check_shape(gguf));
  TokenizerData data;
  data.chat_template = gguf.chat_template;
  data.tokens.resize(gguf.tokens.size());
  for (size_t id = 0; id < gguf.tokens.size(); ++id) {
    switch (gguf.token_types[id]) {
      case kNormal:
      case kByte:
        if (gguf.tokens[id].empty()) return bad_input("gguf: tokenizer.ggml.tokens: {}: expected text, got none", id);
        data.tokens[id] = gguf.tokens[id];
        break;
      case kControl:
      case kUserDefined:
        data.added.push_back({.id = static_cast<int32_t>(id),
                              .content = std::string(gguf.tokens[id]),
                              .special = gguf.token_types[id] == kControl});
        break;
      case kUnused:
        break;
      default:
        return bad_input("gguf: tokenizer.ggml.token_type: {}: expected 1, 3, 4, 5 or 6, got {}", id,
                         gguf.token_types[id]);
    }
  }
  for (size_t rank = 0; rank < gguf.merges.size(); ++rank) {
    BANTAM_TRY(split_merge(gguf.merges[rank], rank, "gguf: tokenizer.ggml.merges", &data));
  }
  if (gguf.eos_id) {
    if (*gguf.eos_id < 0 || static_cast<uint64_t>(*gguf.eos_id) >= gguf.tokens.size()) {
      return bad_input("gguf: tokenizer.ggml.eos_token_id: expected an id below {}, got {}", gguf.tokens.size(),
                       *gguf.eos_id);
    }
    data.eos_token = gguf.tokens[static_cast<size_t>(*gguf.eos_id)];
  }
  Result<Tokenizer> made = make_tokenizer(std::move(data));
  if (!made.ok()) return std::move(made).status().with_context("gguf: tokenizer");
  return made;
}

}  // namespace bantam::text
