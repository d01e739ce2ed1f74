// Implements text/word_encoder.h.
#include "text/word_encoder.h"

#include <algorithm>
#include <bit>

#include "text/pre_tokenizer.h"

namespace bantam::text {
namespace {

constexpr size_t kSmallestCache = 64, kLargestCache = 8192;  // entries of 32 bytes
constexpr size_t kLongestCached = 256;                       // bytes: longer words hardly ever come back

}  // namespace

int32_t WholeWords::find(std::string_view word, uint64_t hash, Bpe::Scratch* scratch) const {
  const int32_t id = tokens_.find(word, hash);
  if (id < 0) return -1;
  const uint8_t proof = proof_[static_cast<size_t>(id)].load(std::memory_order_relaxed);
  if (proof != 0) return proof == 1 ? id : -1;
  return prove(id, word, scratch) ? id : -1;
}

bool WholeWords::prove(int32_t id, std::string_view word, Bpe::Scratch* scratch) const {
  std::vector<int32_t> ids;
  bpe_.encode(word, scratch, &ids);
  const bool whole = ids.size() == 1 && ids[0] == id;
  proof_[static_cast<size_t>(id)].store(whole ? 1 : 2, std::memory_order_relaxed);
  return whole;
}

WordEncoder::WordEncoder(const WholeWords& whole_words, const Bpe& bpe, const Seams& seams, size_t text_bytes,
                         std::vector<int32_t>* out)
    : whole_words_(whole_words),
      bpe_(bpe),
      seams_(seams),
      out_(out),
      cache_(std::bit_ceil(std::clamp(text_bytes / 16, kSmallestCache, kLargestCache))) {}

void WordEncoder::encode(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = word_end(text, at);
    const bool ascii_end = static_cast<unsigned char>(text[end - 1]) < 0x80;
    if (ascii_end && end - at <= kLongestCached) {
      encode_part(text.substr(at, end - at));  // hardly ever has seams
    } else {
      encode_parts(text.substr(at, end - at));
    }
    at = end;
  }
}

void WordEncoder::encode_parts(std::string_view word) {
  for (size_t begin = 0; begin < word.size();) {
    const size_t end = seams_.part_end(word, begin);
    encode_part(word.substr(begin, end - begin));
    begin = end;
  }
}

void WordEncoder::encode_part(std::string_view part) {
  if (part.size() == 1) return out_->push_back(bpe_.byte_id(static_cast<unsigned char>(part[0])));
  if (part.size() > kLongestCached) return bpe_.encode(part, &scratch_, out_);
  const uint64_t hash = hash_bytes(part);
  Entry& entry = cache_[hash & (cache_.size() - 1)];
  if (entry.hash == hash && entry.bytes == part.size() && std::string_view(entry.part, part.size()) == part) {
    for (uint32_t i = 0; i < entry.ids; ++i) {
      const int32_t id = (*out_)[entry.first_id + i];
      out_->push_back(id);
    }
    return;
  }
  const size_t first_id = out_->size();
  if (const int32_t id = whole_words_.find(part, hash, &scratch_); id >= 0) {
    out_->push_back(id);
  } else {
    bpe_.encode(part, &scratch_, out_);
  }
  entry = {hash, part.data(), static_cast<uint32_t>(part.size()), static_cast<uint32_t>(out_->size() - first_id),
           first_id};
}

}  // namespace bantam::text
