// Tokenizer: text to token ids and back, equal to Hugging Face `tokenizers` on Qwen2-shaped files (NFC, the Qwen2
// split pattern, byte-level BPE, added tokens). Immutable after load, so one instance serves any number of threads;
// move-only. Called by engine, constrain, tasks, server and cli. Loaders: tokenizer_loader.h; streaming:
// stream_decoder.h.
//
// Invariants: ids come from the model's own files and may have gaps; an id without text (padding rows, gaps) has no
// bytes and is never produced by encode(). Input need not be valid UTF-8: a byte that is not part of a valid sequence
// is kept as it is, so that token_bytes() of the ids always joins to the NFC form of the input.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bantam::text {

// A token that is matched in the text before anything else, e.g. "<|im_end|>" or "<think>". Fields keep the names of
// tokenizer.json.
struct AddedToken {
  int32_t id = -1;
  std::string content;      // as written in text, not byte-level spelling
  bool special = false;     // removed by decode(skip_special)
  bool lstrip = false;      // swallows white space before it
  bool rstrip = false;      // swallows white space after it
  bool normalized = false;  // matched in the NFC form of the text rather than in the text itself
};

// A piece of text with provenance: control (added) tokens are recognised only where allow_control is true.
struct Span {
  std::string_view text;
  bool allow_control = false;
};

struct TokenizerParts;  // what a tokenizer is made of; tokenizer_parts.h, for this room only

class Tokenizer {
 public:
  explicit Tokenizer(std::unique_ptr<const TokenizerParts> parts);  // used by the loaders
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Ids of `text`. With allow_added, added tokens in the text become their ids, as `tokenizers` does by default;
  // without, the whole text is plain.
  std::vector<int32_t> encode(std::string_view text, bool allow_added) const;
  // Ids of the spans' texts joined. The spans are one string for NFC, splitting and BPE; an added token counts only
  // when all of its bytes lie in spans with allow_control.
  std::vector<int32_t> encode(std::span<const Span> spans) const;

  // Text of `ids`: their bytes joined, then invalid UTF-8 replaced by U+FFFD per maximal subpart, as the reference's
  // ByteLevel decoder does. Unknown and text-less ids add nothing. skip_special leaves out tokens with special true.
  std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;
  // The raw bytes of one id, possibly a part of a UTF-8 sequence; empty for ids without text, negative or too large.
  std::string_view token_bytes(int32_t id) const;

  bool has_text(int32_t id) const;    // false for padding rows, gaps and ids out of range
  bool is_added(int32_t id) const;    // an added token, special or not
  bool is_special(int32_t id) const;  // an added token with special true
  // The id of the added token spelled exactly so.
  std::optional<int32_t> find_added(std::string_view content) const;
  std::span<const AddedToken> added_tokens() const;  // in order of id
  int32_t size() const;                              // highest id with text, plus one

  // The model's own chat template (Jinja source), or empty.
  std::string_view chat_template() const;
  // The end-of-turn token that tokenizer_config.json or the GGUF metadata names, if any.
  std::optional<int32_t> eos_id() const;

 private:
  std::unique_ptr<const TokenizerParts> parts_;
};

}  // namespace bantam::text
