// Implements text/token_table.h.
#include "text/token_table.h"

#include <algorithm>
#include <bit>

namespace bantam::text {

TokenTable::TokenTable(size_t ids, size_t text_bytes)
    : slots_(std::bit_ceil(std::max<size_t>(16, 2 * ids)), Slot{0, -1}) {
  text_.reserve(text_bytes);
  ends_.reserve(ids);
  has_text_.reserve(ids);
}

void TokenTable::close_id(bool has_text) {
  ends_.push_back(static_cast<uint32_t>(text_.size()));
  has_text_.push_back(has_text);
}

bool TokenTable::index(int32_t id) {
  const std::string_view wanted = bytes(id);
  const uint64_t hash = hash_bytes(wanted);
  const auto tag = static_cast<uint32_t>(hash >> 32);
  const size_t mask = slots_.size() - 1;
  size_t at = hash & mask;
  for (; slots_[at].id >= 0; at = (at + 1) & mask) {
    if (slots_[at].tag == tag && bytes(slots_[at].id) == wanted) return false;
  }
  slots_[at] = {tag, id};
  return true;
}

int32_t TokenTable::find(std::string_view wanted, uint64_t hash) const {
  const auto tag = static_cast<uint32_t>(hash >> 32);
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash & mask; slots_[at].id >= 0; at = (at + 1) & mask) {
    if (slots_[at].tag == tag && bytes(slots_[at].id) == wanted) return slots_[at].id;
  }
  return -1;
}

}  // namespace bantam::text
