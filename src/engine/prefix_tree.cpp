// See prefix_tree.h.
#include "engine/prefix_tree.h"

#include "base/check.h"

namespace bantam::engine {

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

int64_t PrefixTree::match(const std::string& owner, std::span<const int32_t> tokens, std::vector<int32_t>* out) {
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
  return matched;
}

void PrefixTree::insert(const std::string& owner, std::span<const int32_t> tokens, std::span<const int32_t> pages) {
  ++tick_;
  Node* node = &roots_[owner];
  for (size_t i = 0; i < pages.size() && static_cast<int64_t>(i + 1) * page_tok_ <= static_cast<int64_t>(tokens.size());
       ++i) {
    const auto page = tokens.subspan(i * static_cast<size_t>(page_tok_), static_cast<size_t>(page_tok_));
    auto [child, is_new] = node->children.try_emplace({page.begin(), page.end()});
    if (is_new) {
      if (node->parent != nullptr && node->children.size() == 1) leaves_.erase({node->used, node});
      child->second = std::make_unique<Node>();
      child->second->key = &child->first;
      child->second->parent = node;
      child->second->page = pages[i];
      pages_->retain(pages[i]);
      ++size_;
    }
    node = child->second.get();
    touch(node);
  }
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
      fine = fine && node.key == &key && node.parent == &parent && static_cast<int64_t>(key.size()) == page_tok_ &&
             pages_->references(node.page) > 0 && leaf == (leaves_.count({node.used, const_cast<Node*>(&node)}) == 1) &&
             (parent.parent == nullptr || parent.used >= node.used);
    });
  }
  return fine && count == size_ && leaves == static_cast<int64_t>(leaves_.size());
}

}  // namespace bantam::engine
