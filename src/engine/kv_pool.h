// KvPool: the pages that hold keys and values, shared by the sessions of one engine. Reference-counted: full pages
// are shared by forks, a page being written has exactly one owner. Memory is reserved once and becomes resident as
// pages are used. Not thread-safe: driven by the engine's thread.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "ops/ops.h"
#include "tensor/storage.h"

namespace bantam::engine {

class KvPool {
 public:
  // Room for `pages` pages per layer.
  static Result<KvPool> create(const kernels::KvLayout& layout, int64_t pages);

  const kernels::KvLayout& layout() const { return layout_; }
  int64_t capacity() const { return static_cast<int64_t>(references_.size()); }
  int64_t free_pages() const { return static_cast<int64_t>(free_.size()); }

  int32_t allocate();  // REQUIRES: free_pages() > 0; count 1
  void retain(int32_t page) { ++references_[static_cast<size_t>(page)]; }
  void release(int32_t page);  // back to the free list at zero
  int32_t references(int32_t page) const { return references_[static_cast<size_t>(page)]; }
  // Copies the contents of one page in every layer.
  void copy(int32_t from, int32_t to);
  // The model's view, with the page tables of one step.
  kernels::KvView view(std::span<const int32_t> page_table) const;
  // Free list and counts agree: every page is either free once or referenced. For tests and debug builds.
  bool check_integrity() const;

 private:
  kernels::KvLayout layout_;
  Storage storage_;
  std::vector<int32_t> references_, free_;
};

}  // namespace bantam::engine
