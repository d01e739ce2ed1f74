// See prefix_tree.h.
#include "engine/prefix_tree.h"

#include <algorithm>

#include "base/check.h"

namespace bantam::engine {
namespace {

int64_t common_tok(std::span<const int32_t> a, std::span<const int32_t> b) {
  const size_t n = std::min(a.size(), b.size());
  return std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(n), b.begin()).first - a.begin();
}

bool begins_with(std::span<const int32_t> tokens, std::span<const int32_t> beginning) {
  return common_tok(tokens, beginning) == static_cast<int64_t>(beginning.size());
}

}  // namespace

PrefixTree::PrefixTree(PageAllocator* pages, int64_t page_tok) : pages_(pages), page_tok_(page_tok) {
  BANTAM_CHECK(page_tok > 0);
}

PrefixTree::~PrefixTree() {
  while (!leaves_.empty()) remove_leaf(leaves_.begin()->second);
}

void PrefixTree::touch(Node* node) {
  if (node->children.empty()) {
    leaves_.erase({node->used, node});
    leaves_.insert({tick_, node});
  }
  node->used = tick_;
}

int64_t PrefixTree::match(const std::string& owner, std::span<const int32_t> tokens, std::vector<int32_t>* out,
                          Piece* piece) {
  const auto root = roots_.find(owner);
  if (root == roots_.end()) return 0;
  ++tick_;
  Node* node = &root->second;
  int64_t matched = 0;
  while (matched + page_tok_ <= static_cast<int64_t>(tokens.size())) {
    const auto page = tokens.subspan(static_cast<size_t>(matched), static_cast<size_t>(page_tok_));
    const auto child = node->children.find({page.begin(), page.end()});
    if (child == node->children.end()) break;
    node = child->second.get();
    touch(node);
    pages_->retain(node->page);
    out->push_back(node->page);
    matched += page_tok_;
  }
  if (piece != nullptr) match_piece(*node, tokens.subspan(static_cast<size_t>(matched)), piece);
  return matched;
}

void PrefixTree::match_piece(Node& node, std::span<const int32_t> tokens, Piece* piece) {
  const auto page = tokens.first(std::min(tokens.size(), static_cast<size_t>(page_tok_)));
  const auto after = node.children.lower_bound({page.begin(), page.end()});
  Node* best = nullptr;
  const auto look = [&](auto child) {
    const int64_t tok = common_tok(child->first, page);
    if (tok <= piece->tok) return;
    best = child->second.get();
    *piece = {best->page, tok};
  };
  if (after != node.children.end()) look(after);
  if (after != node.children.begin()) look(std::prev(after));
  if (best == nullptr) return;
  touch(best);
  pages_->retain(best->page);
}

void PrefixTree::insert(const std::string& owner, std::span<const int32_t> tokens, std::span<const int32_t> pages) {
  ++tick_;
  Node* node = &roots_[owner];
  for (const int32_t page : pages) {
    if (tokens.empty()) return;
    const auto held = tokens.first(std::min(tokens.size(), static_cast<size_t>(page_tok_)));
    node = insert_page(node, held, page);
    touch(node);
    tokens = tokens.subspan(held.size());
  }
}

// The node of these tokens behind `parent`; of tokens that are fewer than a page, perhaps one that has more.
PrefixTree::Node* PrefixTree::insert_page(Node* parent, std::span<const int32_t> tokens, int32_t page) {
  std::vector<int32_t> key(tokens.begin(), tokens.end());
  const auto after = parent->children.lower_bound(key);
  if (after != parent->children.end() && begins_with(after->first, key)) return after->second.get();
  if (after != parent->children.begin()) {
    const auto before = std::prev(after);
    if (begins_with(key, before->first)) remove_leaf(before->second.get());
  }
  if (parent->parent != nullptr && parent->children.empty()) leaves_.erase({parent->used, parent});
  const auto child = parent->children.try_emplace(std::move(key), std::make_unique<Node>()).first;
  Node* node = child->second.get();
  node->key = &child->first;
  node->parent = parent;
  node->page = page;
  pages_->retain(page);
  ++size_;
  return node;
}

void PrefixTree::remove_leaf(Node* node) {
  leaves_.erase({node->used, node});
  pages_->release(node->page);
  --size_;
  Node* parent = node->parent;
  parent->children.erase(parent->children.find(*node->key));
  if (!parent->children.empty()) return;
  if (parent->parent != nullptr) leaves_.insert({parent->used, parent});
}

void PrefixTree::evict(int64_t wanted) {
  for (auto leaf = leaves_.begin(); leaf != leaves_.end() && pages_->free_pages() < wanted;) {
    Node* node = leaf->second;
    if (pages_->references(node->page) > 1) {
      ++leaf;
      continue;
    }
    remove_leaf(node);
    // A parent that became a leaf was used no later than its child was, so it may stand before this place.
    leaf = leaves_.begin();
  }
  std::erase_if(roots_, [](const auto& root) { return root.second.children.empty(); });
}

template <class Visit>
void PrefixTree::visit(const Node& node, const Visit& what) const {
  for (const auto& [key, child] : node.children) {
    what(key, *child, node);
    visit(*child, what);
  }
}

void PrefixTree::count_references(std::vector<int32_t>* counts) const {
  for (const auto& [owner, root] : roots_) {
    visit(root, [&](const auto&, const Node& node, const Node&) { ++(*counts)[static_cast<size_t>(node.page)]; });
  }
}

bool PrefixTree::check_integrity() const {
  bool fine = true;
  int64_t count = 0, leaves = 0;
  for (const auto& [owner, root] : roots_) {
    fine = fine && root.parent == nullptr && root.page == -1;
    visit(root, [&](const std::vector<int32_t>& key, const Node& node, const Node& parent) {
      ++count;
      const bool leaf = node.children.empty();
      leaves += leaf ? 1 : 0;
      const auto tok = static_cast<int64_t>(key.size());
      const auto next = parent.children.upper_bound(key);
      fine = fine && node.key == &key && node.parent == &parent &&
             (leaf ? tok > 0 && tok <= page_tok_ : tok == page_tok_) &&
             (next == parent.children.end() || !begins_with(next->first, key)) && pages_->references(node.page) > 0 &&
             leaf == (leaves_.count({node.used, const_cast<Node*>(&node)}) == 1) &&
             (parent.parent == nullptr || parent.used >= node.used);
    });
  }
  return fine && count == size_ && leaves == static_cast<int64_t>(leaves_.size());
}

}  // namespace bantam::engine
