// TokenTable: the bytes of every id, and the id of a byte string among the model's BPE tokens. Built once by
// tokenizer_parts, then immutable and thread-safe. Ids may have gaps.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/hash.h"

namespace bantam::text {

class TokenTable {
 public:
  // Room for ids 0..ids-1 whose texts have about text_bytes in all.
  TokenTable(size_t ids, size_t text_bytes);

  // Gives id `id` the bytes appended so far to text() since the last call. REQUIRES: called once per id, ascending,
  // with every id below ids.
  std::string* text() { return &text_; }
  void close_id(bool has_text);

  // Makes find() know this id. Returns false when another indexed id has the same bytes. REQUIRES: has_text(id).
  bool index(int32_t id);

  int32_t size() const { return static_cast<int32_t>(ends_.size()); }
  bool has_text(int32_t id) const { return id >= 0 && id < size() && has_text_[static_cast<size_t>(id)]; }
  std::string_view bytes(int32_t id) const {
    if (id < 0 || id >= size()) return {};
    const size_t i = static_cast<size_t>(id);
    const uint32_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(text_).substr(begin, ends_[i] - begin);
  }
  // The indexed id with exactly these bytes, or -1.
  int32_t find(std::string_view bytes) const { return find(bytes, hash_bytes(bytes)); }
  int32_t find(std::string_view bytes, uint64_t hash) const;

 private:
  struct Slot {
    uint32_t tag;  // the hash's upper half
    int32_t id;    // -1: empty
  };
  std::string text_;
  std::vector<uint32_t> ends_;
  std::vector<bool> has_text_;
  std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
};

}  // namespace bantam::text
