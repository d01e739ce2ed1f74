// Storage: owned, zeroed, 64-byte aligned anonymous memory for tensors; large blocks ask for huge pages (madvise).
// Move-only. Memory is reserved at once and becomes resident as it is touched.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "tensor/view.h"

namespace bantam {

class Storage {
 public:
  static Result<Storage> allocate(int64_t bytes);
  Storage() = default;
  Storage(Storage&& other) noexcept;
  Storage& operator=(Storage&& other) noexcept;
  ~Storage();
  std::byte* data() const { return data_; }
  int64_t size_bytes() const { return size_; }
  bool valid() const { return data_ != nullptr; }

 private:
  std::byte* data_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace bantam
