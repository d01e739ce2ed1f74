// A tensor as a file holds it: name, view and place. Produced by the readers of this room, owned by a Checkpoint.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/view.h"

namespace bantam::formats {

class SourceFile;

struct NamedTensor {
  std::string_view name;
  // Shape slowest dimension first, as Hugging Face writes it (GGUF's order is reversed on reading). The data pointer
  // has the file's alignment only: a safetensors file may place floats at odd addresses, so read through memcpy.
  ConstTensorView view;
  const SourceFile* source = nullptr;
  uint64_t offset = 0;  // of the data, from the start of the file

  // "model-00001-of-00002.safetensors at byte 1,234", for messages.
  std::string where() const;
};
// Readers allocate one of these per listed tensor: with the shortest records that GGUF (33 bytes) and safetensors
// (51 bytes) allow, this size keeps parsing below four times the file's size.
static_assert(sizeof(NamedTensor) <= 96);

// Orders positions in `tensors` by name, also against a name; for binary search over sorted_by_name().
struct NameOrder {
  const std::vector<NamedTensor>& tensors;
  bool operator()(uint32_t a, uint32_t b) const {
    const int order = tensors[a].name.compare(tensors[b].name);
    return order != 0 ? order < 0 : a < b;
  }
  bool operator()(uint32_t a, std::string_view b) const { return tensors[a].name < b; }
  bool operator()(std::string_view a, uint32_t b) const { return a < tensors[b].name; }
};

// Positions of `tensors` in NameOrder.
std::vector<uint32_t> sorted_by_name(const std::vector<NamedTensor>& tensors);

}  // namespace bantam::formats
