// See kv_pool.h.
#include "engine/kv_pool.h"

#include <cstring>

#include "base/check.h"
#include "base/checked.h"

namespace bantam::engine {

DType kv_dtype(KvType kv) {
  switch (kv) {
    case KvType::kF16:
      return DType::kF16;
    case KvType::kF32:
      return DType::kF32;
    case KvType::kQ8_0:
      return DType::kQ8_0;
    case KvType::kQ4_0:
      return DType::kQ4_0;
  }
  BANTAM_CHECK(false);
}

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
    for (int64_t head = 0; head < layout_.kv_heads; ++head) {
      std::memcpy(all.run(layer, head, to), all.run(layer, head, from), static_cast<size_t>(layout_.head_bytes()));
    }
  }
}

kernels::KvView KvPool::view(std::span<const int32_t> page_table) const {
  return {layout_, storage_.data(), capacity(), page_table};
}

}  // namespace bantam::engine
