// Plan checks and stream bookkeeping that both writers share.
#include "formats/tensor_writer.h"

#include <algorithm>

#include "base/checked.h"
#include "base/mmap.h"
#include "base/utf8.h"
#include "formats/describe.h"

namespace bantam::formats {

Status check_plan(const std::vector<TensorPlan>& plan, std::vector<uint64_t>* bytes) {
  std::vector<std::string_view> names;
  uint64_t total = 0;
  bytes->clear();
  for (const TensorPlan& t : plan) {
    names.push_back(t.name);
    if (t.name.empty() || !is_utf8(t.name) || t.name != printable(t.name, t.name.size() + 1)) {
      return usage_error("expected a printable tensor name, got '{}'", printable(t.name));
    }
    const int64_t block = info(t.dtype).block_elems;
    if (t.shape.last() % block != 0) {
      return usage_error("tensor {}: expected rows of a multiple of {} elements for {}, got shape {}", t.name, block,
                         name(t.dtype), t.shape.to_string());
    }
    uint64_t size = static_cast<uint64_t>(info(t.dtype).block_bytes);
    bool fits = true;
    for (int i = 0; i < t.shape.rank; ++i) {
      const int64_t dim = i + 1 == t.shape.rank ? t.shape[i] / block : t.shape[i];
      fits = fits && dim >= 0 && checked_mul(size, static_cast<uint64_t>(dim), &size);
    }
    if (!fits || size > INT64_MAX || !checked_add(total, size, &total) || total > INT64_MAX) {
      return usage_error("tensor {}: expected sizes below 2^63 bytes in all, got shape {}", t.name,
                         t.shape.to_string());
    }
    bytes->push_back(size);
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice == names.end()) return {};
  return usage_error("expected each tensor name once, got {} twice", *twice);
}

void PlanProgress::skip_finished() {
  while (index_ < plan_.size() && done_ == bytes_[index_]) {
    ++index_;
    done_ = 0;
  }
}

Status PlanProgress::advance(std::string_view tensor, uint64_t size) {
  skip_finished();
  if (index_ == plan_.size())
    return usage_error("tensor {}: expected the end of the plan, got {} more bytes", tensor, size);
  const TensorPlan& expected = plan_[index_];
  if (expected.name != tensor) {
    return usage_error("expected bytes {} to {} of tensor {}, got tensor {}", with_commas(done_),
                       with_commas(bytes_[index_]), expected.name, tensor);
  }
  if (size > bytes_[index_] - done_) {
    return usage_error("tensor {}: expected at most {} more bytes, got {}", tensor, with_commas(bytes_[index_] - done_),
                       with_commas(size));
  }
  done_ += size;
  return {};
}

Status PlanProgress::complete() {
  skip_finished();
  if (index_ == plan_.size()) return {};
  return usage_error("tensor {}: expected {} bytes before the end, got {}", plan_[index_].name,
                     with_commas(bytes_[index_]), with_commas(done_));
}

Status write_whole_file(const std::string& path, std::string_view text) {
  BANTAM_TRY_ASSIGN(AtomicFile file, AtomicFile::create(path));
  BANTAM_TRY(file.write(text));
  return file.commit();
}

}  // namespace bantam::formats
