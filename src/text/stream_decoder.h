// StreamDecoder: token ids to text as they arrive, never emitting a broken UTF-8 sequence. Owned by whoever streams
// one answer (one object per stream, not shared between threads); the Tokenizer must outlive it.
// Invariant: the texts from push() and finish(), joined, equal Tokenizer::decode() of all the ids.
#pragma once

#include <cstdint>
#include <string>

#include "text/tokenizer.h"

namespace bantam::text {

class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = false)
      : tokenizer_(&tokenizer), skip_special_(skip_special) {}

  // Text that `id` completes: possibly empty. At most 3 bytes are held back, those that may still become a character.
  std::string push(int32_t id);
  // The end of the stream: U+FFFD for held-back bytes, if there are any. The object may then be used for a new stream.
  std::string finish();
  // True while bytes are held back.
  bool has_pending() const { return !pending_.empty(); }

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::string pending_;  // a valid but incomplete beginning of one UTF-8 sequence
};

}  // namespace bantam::text
