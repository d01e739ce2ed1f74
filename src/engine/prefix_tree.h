// PrefixTree: which beginnings of timelines have keys and values already (a radix tree whose edges are the tokens of a
// page; a leaf's page may be partly filled). Requests that begin alike share the whole pages; of a page they share only
// the first tokens of, one may be copied, since keys and values depend on nothing that comes after them. What nobody
// holds goes, least recently used first, when room is needed. Every owner (an API key) has a tree of its own: nobody
// learns from timing what another has asked. Holds one reference to each of its pages; nobody writes into them. Of two
// pages that follow the same one, neither begins with all of the other's tokens: the shorter adds nothing. Called by
// the scheduler; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/page_allocator.h"

namespace bantam::engine {

class PrefixTree {
 public:
  // `pages` must outlive the tree. page_tok: tokens per page.
  PrefixTree(PageAllocator* pages, int64_t page_tok);
  ~PrefixTree();
  PrefixTree(const PrefixTree&) = delete;
  PrefixTree& operator=(const PrefixTree&) = delete;

  // A page whose first `tok` tokens are wanted, but not all that it holds or can hold.
  struct Piece {
    int32_t page = -1;  // -1: none
    int64_t tok = 0;
  };
  // The longest run of whole pages at the beginning of `tokens`. Appends them to *out, each retained for the caller.
  // Returns the tokens they hold. `piece`, if not null: the page that holds most of what follows them, retained too.
  int64_t match(const std::string& owner, std::span<const int32_t> tokens, std::vector<int32_t>* out,
                Piece* piece = nullptr);
  // Remembers the pages of a timeline; page i holds tokens [page_tok * i, page_tok * (i + 1)), the last perhaps fewer,
  // and then nobody may write into it any more. Pages of tokens that are known already stay as they are.
  void insert(const std::string& owner, std::span<const int32_t> tokens, std::span<const int32_t> pages);
  // Lets pages go that nobody else holds, least recently used first, until `wanted` pages are free or none is left.
  void evict(int64_t wanted);

  int64_t size() const { return size_; }  // pages held
  // How many references the tree holds on each page; for the scheduler's integrity check.
  void count_references(std::vector<int32_t>* counts) const;
  // Links, sizes and the list of leaves agree. For tests.
  bool check_integrity() const;

 private:
  struct Node {
    // By the page's tokens; of keys in this order, that which has most in common with another stands next to it.
    std::map<std::vector<int32_t>, std::unique_ptr<Node>> children;
    const std::vector<int32_t>* key = nullptr;  // in the parent's map; shorter than a page only without children
    Node* parent = nullptr;                     // null: a root, which has no page
    int32_t page = -1;
    uint64_t used = 0;  // tick of the last match or insert
  };
  void touch(Node* node);
  void match_piece(Node& node, std::span<const int32_t> tokens, Piece* piece);
  Node* insert_page(Node* parent, std::span<const int32_t> tokens, int32_t page);
  void remove_leaf(Node* node);
  template <class Visit>
  void visit(const Node& node, const Visit& what) const;

  PageAllocator* pages_;
  int64_t page_tok_;
  int64_t size_ = 0;
  uint64_t tick_ = 0;
  std::map<std::string, Node> roots_;
  std::set<std::pair<uint64_t, Node*>> leaves_;  // least recently used first
};

}  // namespace bantam::engine
