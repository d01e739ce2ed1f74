// See kv_pool.h.
#include "engine/kv_pool.h"

#include <cstring>

#include "base/checked.h"

namespace bantam::engine {

Result<KvPool> KvPool::create(const kernels::KvLayout& layout, int64_t pages) {
  int64_t bytes = 0;
  if (!checked_mul(layout.page_bytes(), layout.layers, &bytes) || !checked_mul(bytes, pages, &bytes)) {
    return no_space("kv: {} pages of {} bytes in {} layers do not fit an address space", pages, layout.page_bytes(),
                    layout.layers);
  }
  KvPool pool;
  static_cast<PageAllocator&>(pool) = PageAllocator(pages);
  pool.layout_ = layout;
  BANTAM_TRY_ASSIGN(pool.storage_, Storage::allocate(bytes));
  return pool;
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

}  // namespace bantam::engine
