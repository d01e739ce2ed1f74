// Implementation of named_tensor.h.
#include "formats/named_tensor.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "formats/describe.h"
#include "formats/source_file.h"

namespace bantam::formats {

std::string NamedTensor::where() const {
  return fmt::format("{} at byte {}", source != nullptr ? source->name() : "memory", with_commas(offset));
}

std::vector<uint32_t> sorted_by_name(const std::vector<NamedTensor>& tensors) {
  std::vector<uint32_t> order(tensors.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), NameOrder{tensors});
  return order;
}

}  // namespace bantam::formats
