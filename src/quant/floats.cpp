// Codecs of the plain float types; see floats.h.
#include "quant/floats.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "tensor/bf16.h"

namespace bantam::quant {
namespace {

template <class Convert>
void to_halves(const float* values, uint8_t* out, int64_t n, uint16_t infinity, Convert convert) {
  for (int64_t i = 0; i < n; ++i) {
    uint16_t h = convert(values[i]);
    if ((h & 0x7FFF) == infinity && std::isfinite(values[i])) --h;  // the largest finite, same sign
    std::memcpy(out + 2 * i, &h, 2);
  }
}

template <class Convert>
void from_halves(const uint8_t* in, float* out, int64_t n, Convert convert) {
  for (int64_t i = 0; i < n; ++i) {
    uint16_t h;
    std::memcpy(&h, in + 2 * i, 2);
    out[i] = convert(h);
  }
}

const std::array<float, 256>& f8_table() {
  static const std::array<float, 256> table = [] {
    std::array<float, 256> t{};
    for (int b = 0; b < 256; ++b) t[static_cast<size_t>(b)] = f8_e4m3_to_f32(static_cast<uint8_t>(b));
    return t;
  }();
  return table;
}

}  // namespace

uint8_t f32_to_f8_e4m3(float f) {
  const uint32_t u = std::bit_cast<uint32_t>(f);
  const uint8_t sign = static_cast<uint8_t>(u >> 24 & 0x80u);
  const uint32_t magnitude = u & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<uint8_t>(sign | 0x7F);
  if (magnitude >= 0x43E00000u) return static_cast<uint8_t>(sign | 0x7E);  // 448 and beyond
  if (magnitude < 0x3C800000u) {  // below 2^-6 the step is 2^-9: let the FPU round at that place
    const float placed = std::bit_cast<float>(magnitude) + 0x1.0p14f;
    return static_cast<uint8_t>(sign | (std::bit_cast<uint32_t>(placed) - 0x46800000u));
  }
  const uint32_t rounded = magnitude + 0x7FFFFu + (magnitude >> 20 & 1);
  return static_cast<uint8_t>(sign | ((rounded - 0x3C000000u) >> 20));
}

void decode_f32(const uint8_t* in, float* out, int64_t n) {
  std::memcpy(out, in, static_cast<size_t>(n) * 4);
}
void encode_f32(const float* values, uint8_t* out, int64_t n) {
  std::memcpy(out, values, static_cast<size_t>(n) * 4);
}
void decode_f16(const uint8_t* in, float* out, int64_t n) {
  from_halves(in, out, n, f16_to_f32);
}
void encode_f16(const float* values, uint8_t* out, int64_t n) {
  to_halves(values, out, n, 0x7C00, f32_to_f16);
}
void decode_bf16(const uint8_t* in, float* out, int64_t n) {
  from_halves(in, out, n, bf16_to_f32);
}
void encode_bf16(const float* values, uint8_t* out, int64_t n) {
  to_halves(values, out, n, 0x7F80, f32_to_bf16);
}
void decode_f8_e4m3(const uint8_t* in, float* out, int64_t n) {
  const auto& table = f8_table();
  for (int64_t i = 0; i < n; ++i) out[i] = table[in[i]];
}
void encode_f8_e4m3(const float* values, uint8_t* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = f32_to_f8_e4m3(values[i]);
}

}  // namespace bantam::quant
