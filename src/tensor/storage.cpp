// Anonymous mappings behind Storage. Huge pages are worth 10-25 % of read bandwidth on weights and KV.
#include "tensor/storage.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace bantam {

namespace {
constexpr int64_t kHugePage = int64_t{2} << 20;
}

Result<Storage> Storage::allocate(int64_t bytes) {
  Storage s;
  if (bytes <= 0) return s;
  const bool large = bytes >= 4 * kHugePage;
  const int64_t granule = large ? kHugePage : 4096;
  const int64_t rounded = (bytes + granule - 1) / granule * granule;
  // Over-reserve by one huge page to align, then give the ends back.
  const int64_t reserved = large ? rounded + kHugePage : rounded;
  void* raw = ::mmap(nullptr, static_cast<size_t>(reserved), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) return no_space("cannot reserve {} bytes of memory: {}", bytes, std::strerror(errno));
  auto* begin = static_cast<std::byte*>(raw);
  if (large) {
    const auto address = reinterpret_cast<uintptr_t>(begin);
    const uintptr_t aligned = (address + uintptr_t{kHugePage} - 1) & ~(uintptr_t{kHugePage} - 1);
    const auto head = static_cast<int64_t>(aligned - address);
    if (head > 0) ::munmap(begin, static_cast<size_t>(head));
    const int64_t tail = reserved - head - rounded;
    if (tail > 0) ::munmap(begin + head + rounded, static_cast<size_t>(tail));
    begin += head;
    ::madvise(begin, static_cast<size_t>(rounded), MADV_HUGEPAGE);
  }
  s.data_ = begin;
  s.size_ = rounded;
  return s;
}

Storage::Storage(Storage&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
Storage& Storage::operator=(Storage&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}
Storage::~Storage() {
  if (data_ != nullptr) ::munmap(data_, static_cast<size_t>(size_));
}

}  // namespace bantam
