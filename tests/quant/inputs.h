// Deterministic weights for the codec tests, made without libm so that they are the same bits everywhere.
#pragma once

#include <cstdint>
#include <vector>

#include "base/rng.h"
#include "quant/format.h"

namespace bantam::quant {

// Every format with a codec.
inline std::vector<DType> weight_types() {
  std::vector<DType> types;
  for (int i = 0; i < kDTypeCount; ++i) {
    if (find_format(static_cast<DType>(i)) != nullptr) types.push_back(static_cast<DType>(i));
  }
  return types;
}
inline std::vector<DType> block_types() {
  std::vector<DType> types;
  for (DType t : weight_types()) {
    if (info(t).is_quant) types.push_back(t);
  }
  return types;
}

// Bell-shaped (sum of twelve uniforms), standard deviation `stddev`.
inline std::vector<float> bell(uint64_t seed, int64_t n, float stddev) {
  Philox rng(seed);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) {
    float sum = -6.0f;
    for (int i = 0; i < 12; ++i) sum += rng.uniform();
    v = sum * stddev;
  }
  return values;
}

inline std::vector<uint8_t> encoded(DType type, const std::vector<float>& values) {
  std::vector<uint8_t> blocks(static_cast<size_t>(row_bytes(type, static_cast<int64_t>(values.size()))));
  find_format(type)->encode(values.data(), blocks.data(), static_cast<int64_t>(values.size()));
  return blocks;
}
inline std::vector<float> decoded(DType type, const std::vector<uint8_t>& blocks) {
  std::vector<float> values(blocks.size() / static_cast<size_t>(info(type).block_bytes) *
                            static_cast<size_t>(info(type).block_elems));
  find_format(type)->decode(blocks.data(), values.data(), static_cast<int64_t>(values.size()));
  return values;
}
inline std::vector<float> round_trip(DType type, const std::vector<float>& values) {
  return decoded(type, encoded(type, values));
}

}  // namespace bantam::quant
