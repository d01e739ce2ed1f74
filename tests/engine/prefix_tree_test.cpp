// The prefix tree: what it finds, what it forgets, whose it is.
#include "engine/prefix_tree.h"

#include <gtest/gtest.h>

#include <numeric>

namespace bantam::engine {
namespace {

constexpr int64_t kPage = 4;

std::vector<int32_t> range(int32_t first, int32_t count) {
  std::vector<int32_t> out(static_cast<size_t>(count));
  std::iota(out.begin(), out.end(), first);
  return out;
}

class PrefixTreeTest : public testing::Test {
 protected:
  // Inserts a timeline on fresh pages, which then belong to the tree alone.
  std::vector<int32_t> insert(const std::string& owner, const std::vector<int32_t>& tokens) {
    std::vector<int32_t> pages;
    for (size_t i = 0; i * kPage < tokens.size(); ++i) pages.push_back(allocator_.allocate());
    tree_.insert(owner, tokens, pages);
    for (int32_t page : pages) allocator_.release(page);
    EXPECT_TRUE(tree_.check_integrity());
    return pages;
  }
  std::vector<int32_t> match(const std::string& owner, const std::vector<int32_t>& tokens) {
    std::vector<int32_t> pages;
    const int64_t matched = tree_.match(owner, tokens, &pages);
    EXPECT_EQ(matched, static_cast<int64_t>(pages.size()) * kPage);
    for (int32_t page : pages) allocator_.release(page);
    EXPECT_TRUE(tree_.check_integrity());
    return pages;
  }

  PageAllocator allocator_{8};
  PrefixTree tree_{&allocator_, kPage};
};

TEST_F(PrefixTreeTest, FindsWholePagesOnly) {
  const std::vector<int32_t> pages = insert("a", range(0, 10));
  EXPECT_EQ(tree_.size(), 2);  // the third page is not full
  EXPECT_EQ(match("a", range(0, 10)), (std::vector<int32_t>{pages[0], pages[1]}));
  EXPECT_EQ(match("a", range(0, 7)), (std::vector<int32_t>{pages[0]}));
  EXPECT_TRUE(match("a", range(0, 3)).empty());
  EXPECT_TRUE(match("a", range(1, 8)).empty());
}

TEST_F(PrefixTreeTest, OwnersSeeNothingOfEachOther) {
  insert("a", range(0, 8));
  EXPECT_TRUE(match("b", range(0, 8)).empty());
  EXPECT_EQ(match("a", range(0, 8)).size(), 2u);
}

TEST_F(PrefixTreeTest, ATwinKeepsTheFirstPages) {
  const std::vector<int32_t> first = insert("a", range(0, 8));
  insert("a", range(0, 8));
  EXPECT_EQ(match("a", range(0, 8)), first);
  EXPECT_EQ(allocator_.free_pages(), 6);
}

TEST_F(PrefixTreeTest, BranchesShareTheirBeginning) {
  std::vector<int32_t> left = range(0, 8), right = range(0, 8);
  right[5] = 99;
  const std::vector<int32_t> a = insert("a", left);
  const std::vector<int32_t> b = insert("a", right);
  EXPECT_EQ(tree_.size(), 3);
  EXPECT_EQ(match("a", right), (std::vector<int32_t>{a[0], b[1]}));
}

TEST_F(PrefixTreeTest, ForgetsTheLeastRecentlyUsedFromTheEnd) {
  insert("a", range(0, 12));   // 3 pages
  insert("a", range(50, 12));  // 3 pages
  match("a", range(0, 12));
  tree_.evict(3);  // 2 are free: one page of the second goes, its last
  EXPECT_EQ(match("a", range(0, 12)).size(), 3u);
  EXPECT_EQ(match("a", range(50, 12)).size(), 2u);
  tree_.evict(8);
  EXPECT_EQ(tree_.size(), 0);
  EXPECT_EQ(allocator_.free_pages(), 8);
}

TEST_F(PrefixTreeTest, WhatSomebodyHoldsStays) {
  insert("a", range(0, 8));
  std::vector<int32_t> held;
  tree_.match("a", range(0, 4), &held);
  tree_.evict(8);
  EXPECT_EQ(allocator_.free_pages(), 7);
  EXPECT_EQ(match("a", range(0, 8)), held);
  allocator_.release(held[0]);
  tree_.evict(8);
  EXPECT_EQ(allocator_.free_pages(), 8);
}

}  // namespace
}  // namespace bantam::engine
