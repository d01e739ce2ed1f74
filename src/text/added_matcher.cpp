// Implements text/added_matcher.h.
#include "text/added_matcher.h"

#include <cstring>

namespace bantam::text {

int32_t AddedMatcher::in_list(int32_t first, unsigned char byte) const {
  while (first >= 0 && nodes_[static_cast<size_t>(first)].byte != byte)
    first = nodes_[static_cast<size_t>(first)].sibling;
  return first;
}

void AddedMatcher::add(std::string_view content, int32_t token) {
  const auto root = static_cast<unsigned char>(content[0]);
  if (roots_[root] < 0) {
    roots_[root] = static_cast<int32_t>(nodes_.size());
    nodes_.push_back({root});
    ++distinct_roots_;
    only_root_ = root;
  }
  int32_t at = roots_[root];
  for (const char c : content.substr(1)) {
    const auto byte = static_cast<unsigned char>(c);
    const int32_t first = nodes_[static_cast<size_t>(at)].child;
    int32_t next = in_list(first, byte);
    if (next < 0) {
      next = static_cast<int32_t>(nodes_.size());
      nodes_.push_back({byte, -1, first, -1});
      nodes_[static_cast<size_t>(at)].child = next;
    }
    at = next;
  }
  nodes_[static_cast<size_t>(at)].token = token;
}

bool AddedMatcher::find(std::string_view text, size_t from, size_t to, Match* match) const {
  if (empty()) return false;
  for (size_t begin = from; begin < to; ++begin) {
    if (distinct_roots_ == 1) {
      const void* found = std::memchr(text.data() + begin, only_root_, to - begin);
      if (found == nullptr) return false;
      begin = static_cast<size_t>(static_cast<const char*>(found) - text.data());
    }
    int32_t node = roots_[static_cast<unsigned char>(text[begin])];
    int32_t longest = -1;
    for (size_t at = begin; node >= 0;) {
      const Node& here = nodes_[static_cast<size_t>(node)];
      ++at;
      if (here.token >= 0) {
        longest = here.token;
        *match = {begin, at, longest};
      }
      if (at == to) break;
      node = in_list(here.child, static_cast<unsigned char>(text[at]));
    }
    if (longest >= 0) return true;
  }
  return false;
}

}  // namespace bantam::text
