// The layouts of kv_layout.h, spelled out once in scalar code.
#include "kernels/kv_codes.h"

#include <cstring>

#include "tensor/bf16.h"

namespace bantam::kernels {
namespace {

float f16_at(const std::byte* p, int64_t index) {
  uint16_t h = 0;
  std::memcpy(&h, p + 2 * index, 2);
  return f16_to_f32(h);
}

float f32_at(const std::byte* p, int64_t index) {
  float f = 0;
  std::memcpy(&f, p + 4 * index, 4);
  return f;
}

int key_code(DType dtype, const std::byte* codes, int64_t slot, int64_t d) {
  if (dtype == DType::kQ8_0) return static_cast<int>(codes[(d / 4 * kPageTok + slot) * 4 + d % 4]) - 128;
  const int byte = static_cast<int>(codes[(d / 8 * kPageTok + slot) * 4 + d % 4]);
  return (d % 8 < 4 ? byte & 15 : byte >> 4) - 8;
}

int value_code(DType dtype, int64_t head_dim, const std::byte* codes, int64_t slot, int64_t d) {
  if (dtype == DType::kQ8_0) return static_cast<int8_t>(codes[(slot / 2 * head_dim + d) * 2 + slot % 2]);
  const int byte = static_cast<int>(codes[slot / 2 * head_dim + d / 32 * 32 + d % 16 * 2 + slot % 2]);
  return (d % 32 < 16 ? byte & 15 : byte >> 4) - 8;
}

}  // namespace

float kv_key(DType dtype, int64_t head_dim, const std::byte* head, int64_t slot, int64_t d) {
  if (dtype == DType::kF32) return f32_at(head, d * kPageTok + slot);
  if (dtype == DType::kF16) return f16_at(head, d * kPageTok + slot);
  const float scale = f16_at(head + kv_planes(dtype, head_dim).key_scales, d / kKvBlock * kPageTok + slot);
  return static_cast<float>(key_code(dtype, head, slot, d)) * scale;
}

float kv_value(DType dtype, int64_t head_dim, const std::byte* head, int64_t slot, int64_t d) {
  const KvPlanes planes = kv_planes(dtype, head_dim);
  if (dtype == DType::kF32) return f32_at(head + planes.values, slot * head_dim + d);
  if (dtype == DType::kF16) return f16_at(head + planes.values, slot * head_dim + d);
  const float scale = f16_at(head + planes.value_scales, d / kKvBlock * kPageTok + slot);
  return static_cast<float>(value_code(dtype, head_dim, head + planes.values, slot, d)) * scale;
}

void kv_decode(DType dtype, int64_t head_dim, const std::byte* head, float* keys, float* values) {
  const KvPlanes planes = kv_planes(dtype, head_dim);
  float scale[kPageTok];
  for (int64_t block = 0; block < head_dim / kKvBlock; ++block) {
    for (int64_t t = 0; t < kPageTok; ++t) scale[t] = f16_at(head + planes.key_scales, block * kPageTok + t);
    for (int64_t d = block * kKvBlock; d < (block + 1) * kKvBlock; ++d) {
      for (int64_t t = 0; t < kPageTok; ++t) {
        keys[d * kPageTok + t] = static_cast<float>(key_code(dtype, head, t, d)) * scale[t];
      }
    }
    for (int64_t t = 0; t < kPageTok; ++t) {
      const float value_scale = f16_at(head + planes.value_scales, block * kPageTok + t);
      for (int64_t d = block * kKvBlock; d < (block + 1) * kKvBlock; ++d) {
        values[t * head_dim + d] =
            static_cast<float>(value_code(dtype, head_dim, head + planes.values, t, d)) * value_scale;
      }
    }
  }
}

}  // namespace bantam::kernels
