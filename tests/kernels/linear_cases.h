// Random matrices of every packable type for the linear tests and benches: valid blocks whose codes are random bits and
// whose scales are ordinary numbers, or, when wild, any 16 bits at all (zeros, subnormals, infinities, NaNs).
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/rng.h"
#include "kernels/linear_kernels.h"
#include "kernels/packed.h"
#include "tensor/bf16.h"
#include "tensor/storage.h"

namespace bantam::kernels {

inline const std::vector<DType>& packable_types() {
  static const std::vector<DType> types = {DType::kF32,    DType::kF16,  DType::kBF16, DType::kF8E4M3, DType::kQ8_0,
                                           DType::kQ4_0,   DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,   DType::kQ2_K,
                                           DType::kQ3_K,   DType::kQ4_K, DType::kQ5_K, DType::kQ6_K,   DType::kIQ4_NL,
                                           DType::kIQ4_XS, DType::kBQ4};
  return types;
}

inline std::vector<DType> quantised_types() {
  std::vector<DType> types;
  for (const DType t : packable_types()) {
    if (has_fast(t)) types.push_back(t);
  }
  return types;
}

// Byte places of the f16 scales in a block.
inline std::vector<int> scale_places(DType dtype) {
  switch (dtype) {
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {0, 2};
    case DType::kQ2_K:
      return {80, 82};
    case DType::kQ3_K:
      return {108};
    case DType::kQ6_K:
      return {208};
    default:
      return {0};
  }
}

inline std::vector<float> random_floats(Philox& rng, int64_t n, float size = 1.0f) {
  std::vector<float> v(static_cast<size_t>(n));
  for (float& f : v) f = (rng.uniform() * 2 - 1) * size;
  return v;
}

struct TestMatrix {
  std::vector<uint8_t> source;  // the file's layout, row-major
  std::vector<float> f8_scales;
  Storage storage;
  PackedMatrix packed;
};

inline std::vector<uint8_t> random_source(Philox& rng, DType dtype, int64_t rows, int64_t cols, bool wild) {
  std::vector<uint8_t> bytes(static_cast<size_t>(rows * row_bytes(dtype, cols)));
  if (info(dtype).is_quant) {
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(rng.next());
    for (size_t at = 0; !wild && at < bytes.size(); at += static_cast<size_t>(info(dtype).block_bytes)) {
      for (const int place : scale_places(dtype)) {
        const uint16_t scale = f32_to_f16((rng.uniform() * 2 - 1) * 0.01f);
        std::memcpy(&bytes[at + static_cast<size_t>(place)], &scale, 2);
      }
    }
    return bytes;
  }
  const size_t size = static_cast<size_t>(info(dtype).block_bytes);
  for (size_t at = 0; at < bytes.size(); at += size) {
    const float value = rng.uniform() * 2 - 1;
    const uint32_t any = rng.next();
    const uint16_t half = wild                   ? static_cast<uint16_t>(any)
                          : dtype == DType::kF16 ? f32_to_f16(value)
                                                 : f32_to_bf16(value);
    const uint8_t f8 = wild ? static_cast<uint8_t>(any) : static_cast<uint8_t>((any & 0x80) | (any >> 8) % 0x7F);
    if (size == 4) std::memcpy(&bytes[at], wild ? static_cast<const void*>(&any) : &value, 4);
    if (size == 2) std::memcpy(&bytes[at], &half, 2);
    if (size == 1) bytes[at] = f8;
  }
  return bytes;
}

inline TestMatrix make_matrix(DType dtype, int64_t rows, int64_t cols, uint64_t seed, bool wild = false) {
  Philox rng(seed, static_cast<uint64_t>(dtype));
  TestMatrix m;
  m.source = random_source(rng, dtype, rows, cols, wild);
  auto storage = Storage::allocate(packed_bytes(dtype, rows, cols));
  EXPECT_TRUE(storage.ok());
  m.storage = std::move(storage).value();
  pack_tiles(dtype, m.source.data(), rows, cols, 0, tile_count(rows), m.storage.data());
  m.packed = {.dtype = dtype, .rows = rows, .cols = cols, .data = m.storage.data()};
  if (dtype == DType::kF8E4M3 && seed % 2 == 1) {
    m.f8_scales = random_floats(rng, (rows + 127) / 128 * ((cols + 127) / 128), 0.1f);
    m.packed.f8_scales = m.f8_scales.data();
  }
  return m;
}

// Equal as bits, except that any NaN equals any other: payloads are not part of the contract.
inline bool same_bits(const float* a, const float* b, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    if (std::memcmp(a + i, b + i, 4) != 0 && !(a[i] != a[i] && b[i] != b[i])) return false;
  }
  return true;
}

}  // namespace bantam::kernels
