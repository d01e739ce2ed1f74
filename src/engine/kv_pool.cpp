// Free-list allocator over one Storage; see kv_pool.h.
#include "engine/kv_pool.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/checked.h"

namespace bantam::engine {

Result<KvPool> KvPool::create(const kernels::KvLayout& layout, int64_t pages) {
  int64_t bytes = 0;
  if (!checked_mul(layout.page_bytes(), layout.layers, &bytes) || !checked_mul(bytes, pages, &bytes)) {
    return no_space("kv: {} pages of {} bytes in {} layers do not fit an address space", pages, layout.page_bytes(),
                    layout.layers);
  }
  KvPool pool;
  pool.layout_ = layout;
  BANTAM_TRY_ASSIGN(pool.storage_, Storage::allocate(bytes));
  pool.references_.assign(static_cast<size_t>(pages), 0);
  pool.free_.resize(static_cast<size_t>(pages));
  for (int64_t i = 0; i < pages; ++i) pool.free_[static_cast<size_t>(i)] = static_cast<int32_t>(pages - 1 - i);
  return pool;
}

int32_t KvPool::allocate() {
  BANTAM_CHECK(!free_.empty());
  const int32_t page = free_.back();
  free_.pop_back();
  references_[static_cast<size_t>(page)] = 1;
  return page;
}

void KvPool::release(int32_t page) {
  int32_t& count = references_[static_cast<size_t>(page)];
  BANTAM_CHECK(count > 0);
  if (--count == 0) free_.push_back(page);
}

void KvPool::copy(int32_t from, int32_t to) {
  const kernels::KvView all = view({});
  for (int64_t layer = 0; layer < layout_.layers; ++layer) {
    std::memcpy(all.page(layer, to), all.page(layer, from), static_cast<size_t>(layout_.page_bytes()));
  }
}

kernels::KvView KvPool::view(std::span<const int32_t> page_table) const {
  return {layout_, storage_.data(), capacity(), page_table};
}

bool KvPool::check_integrity() const {
  std::vector<int> free_count(references_.size(), 0);
  for (int32_t page : free_) ++free_count[static_cast<size_t>(page)];
  for (size_t i = 0; i < references_.size(); ++i) {
    if (references_[i] < 0 || free_count[i] != (references_[i] == 0 ? 1 : 0)) return false;
  }
  return true;
}

}  // namespace bantam::engine
