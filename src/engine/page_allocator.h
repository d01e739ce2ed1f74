// PageAllocator: who holds which page of keys and values. Reference counts and a free list, no memory behind them, so
// that the scheduler and the prefix tree can be tested without a model. A page that is not written any more may have
// many holders, a page being written has exactly one. Not thread-safe: driven by the engine's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bantam::engine {

class PageAllocator {
 public:
  explicit PageAllocator(int64_t pages = 0);

  int64_t capacity() const { return static_cast<int64_t>(references_.size()); }
  int64_t free_pages() const { return static_cast<int64_t>(free_.size()); }

  int32_t allocate();  // REQUIRES: free_pages() > 0; count 1
  void retain(int32_t page) { ++references_[static_cast<size_t>(page)]; }
  // Back to the free list at zero, to be given out next. Holders release their pages from the last to the first, so
  // that the next one gets ascending numbers again: neighbours in memory are read as one stream.
  void release(int32_t page);
  int32_t references(int32_t page) const { return references_[static_cast<size_t>(page)]; }
  // Free list and counts agree: every page is either free once or referenced. For tests and debug builds.
  bool check_integrity() const;

 private:
  std::vector<int32_t> references_, free_;
};

}  // namespace bantam::engine
