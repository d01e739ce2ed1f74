// The prefix tree: what it finds, to the token; what it forgets, whose it is.
#include "engine/prefix_tree.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

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

  // The page the tree would have copied for `tokens`, and how many of its tokens.
  std::pair<int32_t, int64_t> piece(const std::string& owner, const std::vector<int32_t>& tokens) {
    std::vector<int32_t> pages;
    PrefixTree::Piece piece;
    tree_.match(owner, tokens, &pages, &piece);
    for (int32_t page : pages) allocator_.release(page);
    if (piece.page >= 0) allocator_.release(piece.page);
    EXPECT_TRUE(tree_.check_integrity());
    EXPECT_EQ(piece.page < 0, piece.tok == 0);
    return {piece.page, piece.tok};
  }

  PageAllocator allocator_{8};
  PrefixTree tree_{&allocator_, kPage};
};

TEST_F(PrefixTreeTest, FindsWholePages) {
  const std::vector<int32_t> pages = insert("a", range(0, 10));
  EXPECT_EQ(tree_.size(), 3);
  EXPECT_EQ(match("a", range(0, 10)), (std::vector<int32_t>{pages[0], pages[1]}));
  EXPECT_EQ(match("a", range(0, 7)), (std::vector<int32_t>{pages[0]}));
  EXPECT_TRUE(match("a", range(0, 3)).empty());
  EXPECT_TRUE(match("a", range(1, 8)).empty());
}

TEST_F(PrefixTreeTest, FindsPiecesOfPages) {
  using Found = std::pair<int32_t, int64_t>;
  const std::vector<int32_t> pages = insert("a", range(0, 11));
  EXPECT_EQ(piece("a", range(0, 11)), Found(pages[2], 3));
  EXPECT_EQ(piece("a", range(0, 10)), Found(pages[2], 2)) << "of what is held, as much as is wanted";
  EXPECT_EQ(piece("a", range(0, 20)), Found(pages[2], 3)) << "of what is wanted, as much as is held";
  EXPECT_EQ(piece("a", range(0, 7)), Found(pages[1], 3)) << "of a whole page too";
  EXPECT_EQ(piece("a", range(0, 8)), Found(-1, 0)) << "nothing is wanted of the next";
  EXPECT_EQ(piece("a", {0, 1, 9}), Found(pages[0], 2));
  EXPECT_EQ(piece("a", {9}), Found(-1, 0));
  EXPECT_EQ(piece("b", {0, 1, 2}), Found(-1, 0));
}

TEST_F(PrefixTreeTest, TheLongestPieceIsFoundAmongMany) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    PageAllocator pages(40);
    PrefixTree tree(&pages, kPage);
    std::vector<std::vector<int32_t>> all;
    const auto some = [&] {
      std::vector<int32_t> tokens(1 + random() % kPage);
      for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 3);
      return tokens;
    };
    for (int i = 0; i < 12; ++i) {
      all.push_back(some());
      const int32_t page = pages.allocate();
      tree.insert("a", all.back(), {&page, 1});
      pages.release(page);
      ASSERT_TRUE(tree.check_integrity());
    }
    const std::vector<int32_t> wanted = some();
    int64_t most = 0;
    for (const auto& held : all) {
      const size_t n = std::min(held.size(), wanted.size());
      most = std::max<int64_t>(
          most, std::mismatch(held.begin(), held.begin() + static_cast<std::ptrdiff_t>(n), wanted.begin()).first -
                    held.begin());
    }
    std::vector<int32_t> whole;
    PrefixTree::Piece piece;
    const int64_t tok = tree.match("a", wanted, &whole, &piece) + piece.tok;
    ASSERT_EQ(tok, most);
    for (int32_t page : whole) pages.release(page);
    if (piece.page >= 0) pages.release(piece.page);
    tree.evict(40);
    ASSERT_EQ(pages.free_pages(), 40);
  }
}

TEST_F(PrefixTreeTest, ALongerPageReplacesItsBeginning) {
  insert("a", range(0, 5));
  const std::vector<int32_t> longer = insert("a", range(0, 7));
  EXPECT_EQ(tree_.size(), 2);
  EXPECT_EQ(piece("a", range(0, 7)), std::make_pair(longer[1], int64_t{3}));
  insert("a", range(0, 6));
  EXPECT_EQ(piece("a", range(0, 7)), std::make_pair(longer[1], int64_t{3})) << "a shorter one adds nothing";
  const std::vector<int32_t> whole = insert("a", range(0, 9));
  EXPECT_EQ(match("a", range(0, 9))[1], whole[1]);
  EXPECT_EQ(tree_.size(), 3);
  EXPECT_EQ(allocator_.free_pages(), 5);
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
