// What both weight writers have in common: tensors are planned up front, then streamed in that order in chunks of any
// size, so nothing larger than a chunk is ever resident. Nothing appears under a final name before finish() succeeds;
// destroying an unfinished writer removes what it wrote. One thread at a time. Called by cli (convert, quantize,
// synth, forward) and train.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/view.h"

namespace bantam::formats {

struct TensorPlan {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;  // slowest dimension first, for GGUF too
};

class TensorWriter {
 public:
  virtual ~TensorWriter() = default;
  // Appends a chunk of the data of `tensor`, which must be the one whose turn it is: chunks of one tensor are
  // contiguous and add up to its size before the next one starts. kUsage otherwise; kNoSpace when the disk is full.
  // After an error the writer can only be destroyed.
  virtual Status write(std::string_view tensor, std::span<const std::byte> chunk) = 0;
  // Syncs and renames into place. kUsage when a planned byte is missing.
  virtual Status finish() = 0;
};

// Checks a plan before a byte is written: unique, printable names, sizes that do not overflow, whole blocks.
// Fills bytes[i] with tensor i's size.
Status check_plan(const std::vector<TensorPlan>& plan, std::vector<uint64_t>* bytes);

// Where a stream stands in its plan; the writers' common bookkeeping. REQUIRES: plan and bytes outlive it.
class PlanProgress {
 public:
  PlanProgress(const std::vector<TensorPlan>& plan, const std::vector<uint64_t>& bytes) : plan_(plan), bytes_(bytes) {}
  // Accounts for `size` more bytes of `tensor`; on success index() is its place in the plan.
  Status advance(std::string_view tensor, uint64_t size);
  size_t index() const { return index_; }
  Status complete();

 private:
  void skip_finished();
  const std::vector<TensorPlan>& plan_;
  const std::vector<uint64_t>& bytes_;
  size_t index_ = 0;
  uint64_t done_ = 0;  // bytes of plan_[index_]
};

// Writes a small file whole or not at all (config.json and its like).
Status write_whole_file(const std::string& path, std::string_view text);

}  // namespace bantam::formats
