// Implements text/stream_decoder.h.
#include "text/stream_decoder.h"

#include "base/utf8.h"

namespace bantam::text {

std::string StreamDecoder::push(int32_t id) {
  if (skip_special_ && tokenizer_->is_special(id)) return {};
  pending_ += tokenizer_->token_bytes(id);
  const size_t kept = incomplete_tail(pending_);
  std::string text;
  append_lossy(&text, std::string_view(pending_).substr(0, pending_.size() - kept));
  pending_.erase(0, pending_.size() - kept);
  return text;
}

std::string StreamDecoder::finish() {
  std::string text;
  append_lossy(&text, pending_);
  pending_.clear();
  return text;
}

}  // namespace bantam::text
