// What every block quantiser does first and last: clean and normalise the floats of a block, and move a scale between
// the normalised range and the f16 number that the block stores. Called by the encoders. Stateless; thread-safe.
//
// Special values, the same for every block format: NaN counts as 0 (a block has no code for it, and one NaN must not
// cost its neighbours their scale); values beyond what the format can hold, infinities among them, count as the
// end of its range; a scale beyond f16 saturates at 65504, so no encoder ever writes an infinite or NaN scale.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "quant/lanes.h"
#include "tensor/bf16.h"

namespace bantam::quant {

inline float power_of_two(int e) {
  return std::bit_cast<float>(static_cast<uint32_t>(e + 127) << 23);
}

struct Range {
  float low, high;
};
inline constexpr float kMaxHalf = 65504.0f;

// Copies n cleaned values times 2^-exponent, the largest magnitude then in [1, 2), and returns the exponent. Values
// outside `limit`, what the format can hold at all, are moved to its ends first: beyond it every code is equally
// wrong in float arithmetic, and the search would not even keep the sign. The factor is a power of two, so errors in
// the normalised range are the true errors times that factor, and squares neither overflow nor underflow. The exponent
// is held at -40 from below: smaller blocks round to zero anyway (the smallest f16 is 2^-24).
// REQUIRES: n a multiple of 4; limit within +-2^100.
inline int normalise(const float* values, float* out, int n, Range limit) {
  F4 peak4 = splat(0.0f);
  for (int i = 0; i < n; i += 4) {
    F4 v = load4(values + i);
    v = v == v ? v : splat(0.0f);
    v = max4(min4(v, splat(limit.high)), splat(limit.low));
    peak4 = max4(peak4, max4(v, -v));
    store4(out + i, v);
  }
  const float peak = std::max(std::max(peak4[0], peak4[1]), std::max(peak4[2], peak4[3]));
  const int exponent = std::clamp(static_cast<int>(std::bit_cast<uint32_t>(peak) >> 23) - 127, -40, 100);
  const F4 factor = splat(power_of_two(-exponent));
  for (int i = 0; i < n; i += 4) store4(out + i, load4(out + i) * factor);
  return exponent;
}

// Nearest finite f16.
inline uint16_t f16_saturated(float v) {
  return f32_to_f16(std::clamp(v, -kMaxHalf, kMaxHalf));
}

// A stored f16 scale together with its value in the block's normalised range.
struct BlockScale {
  uint16_t bits = 0;
  float value = 0.0f;
};
inline BlockScale scale_from_bits(uint16_t bits, int exponent) {
  return {bits, f16_to_f32(bits) * power_of_two(-exponent)};
}
inline BlockScale nearest_scale(float normalised, int exponent) {
  return scale_from_bits(f16_saturated(normalised * power_of_two(exponent)), exponent);
}
inline bool is_subnormal(BlockScale s) {
  return (s.bits & 0x7FFFu) < 0x400u;
}  // or zero
// The smallest scale whose magnitude is not below |normalised|, up to one part in 2000: near f16's subnormals,
// rounding down would leave the largest sub-block scale far outside the integer range.
inline BlockScale covering_scale(float normalised, int exponent) {
  BlockScale s = nearest_scale(normalised, exponent);
  const bool short_of = std::max(s.value, -s.value) * 1.0005f < std::max(normalised, -normalised);
  if (short_of && (s.bits & 0x7FFFu) < 0x7BFFu) s = scale_from_bits(static_cast<uint16_t>(s.bits + 1), exponent);
  return s;
}
// Scales under this are zero to the searches: their inverses would overflow.
inline constexpr float kTinyScale = 0x1p-100f;
inline float inverse_or_zero(float v) {
  return v < kTinyScale && v > -kTinyScale ? 0.0f : 1.0f / v;
}

// Blocks live at arbitrary byte addresses inside mapped files.
template <class Block>
inline Block load_block(const uint8_t* p) {
  Block b;
  std::memcpy(&b, p, sizeof b);
  return b;
}
template <class Block>
inline void store_block(uint8_t* p, const Block& b) {
  std::memcpy(p, &b, sizeof b);
}

}  // namespace bantam::quant
