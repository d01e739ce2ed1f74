// AddedMatcher: finds added tokens in text, leftmost first and the longest of those that start there, as the reference
// does. Built once per tokenizer; immutable after that, so thread-safe. A trie walk from every byte that can begin a
// token: at most kMaxAddedBytes steps per byte.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace bantam::text {

inline constexpr size_t kMaxAddedBytes = 1024;  // longest content; keeps matching linear

class AddedMatcher {
 public:
  struct Match {
    size_t begin, end;  // bytes of the text
    int32_t token;      // what add() was given
  };

  // REQUIRES: 0 < content.size() <= kMaxAddedBytes, token >= 0. Of equal contents the last counts.
  void add(std::string_view content, int32_t token);
  bool empty() const { return nodes_.empty(); }
  // The first match in text[from, to) whose bytes all lie there; returns false when there is none.
  bool find(std::string_view text, size_t from, size_t to, Match* match) const;

 private:
  struct Node {
    unsigned char byte;
    int32_t child = -1, sibling = -1;
    int32_t token = -1;
  };
  // The node for `byte` in the list that starts at `first`, or -1.
  int32_t in_list(int32_t first, unsigned char byte) const;

  std::vector<Node> nodes_;
  std::array<int32_t, 256> roots_ = [] {
    std::array<int32_t, 256> none;
    none.fill(-1);
    return none;
  }();
  int distinct_roots_ = 0;
  unsigned char only_root_ = 0;  // when there is one: memchr finds candidates
};

}  // namespace bantam::text
