// See page_allocator.h.
#include "engine/page_allocator.h"

#include "base/check.h"

namespace bantam::engine {

PageAllocator::PageAllocator(int64_t pages)
    : references_(static_cast<size_t>(pages), 0), free_(static_cast<size_t>(pages)) {
  // Lowest numbers first: memory becomes resident from the beginning.
  for (int64_t i = 0; i < pages; ++i) free_[static_cast<size_t>(i)] = static_cast<int32_t>(pages - 1 - i);
}

int32_t PageAllocator::allocate() {
  BANTAM_CHECK(!free_.empty());
  const int32_t page = free_.back();
  free_.pop_back();
  references_[static_cast<size_t>(page)] = 1;
  return page;
}

void PageAllocator::release(int32_t page) {
  int32_t& count = references_[static_cast<size_t>(page)];
  BANTAM_CHECK(count > 0);
  if (--count == 0) free_.push_back(page);
}

bool PageAllocator::check_integrity() const {
  std::vector<int> free_count(references_.size(), 0);
  for (int32_t page : free_) ++free_count[static_cast<size_t>(page)];
  for (size_t i = 0; i < references_.size(); ++i) {
    if (references_[i] < 0 || free_count[i] != (references_[i] == 0 ? 1 : 0)) return false;
  }
  return true;
}

}  // namespace bantam::engine
