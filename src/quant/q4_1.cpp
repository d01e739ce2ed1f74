// Codec of q4_1; layout and bit pictures in q4_1.h. Search: fit_affine.h.
#include "quant/q4_1.h"

#include "quant/block_input.h"
#include "quant/fit_affine.h"

namespace bantam::quant {

void decode_q4_1(const uint8_t* blocks, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += 32, blocks += sizeof(BlockQ4_1)) {
    const auto b = load_block<BlockQ4_1>(blocks);
    const float d = f16_to_f32(b.d), m = f16_to_f32(b.m);
    for (int l = 0; l < 16; ++l) {
      out[i + l] = d * static_cast<float>(b.qs[l] & 15) + m;
      out[i + l + 16] = d * static_cast<float>(b.qs[l] >> 4) + m;
    }
  }
}

void encode_q4_1(const float* values, uint8_t* blocks, int64_t n) {
  alignas(16) float x[32], q[32];
  for (int64_t i = 0; i < n; i += 32, blocks += sizeof(BlockQ4_1)) {
    const int exponent = normalise(values + i, x, 32, {-kMaxHalf, 14 * kMaxHalf});
    const StoredAffine s = fit_affine_block<15, 32>(x, exponent, {-0.02f, 0.03f, 4}, 2);
    affine_codes<15, 32>(x, s.scale.value, s.offset.value, q);
    BlockQ4_1 b{s.scale.bits, s.offset.bits, {}};
    for (int l = 0; l < 16; ++l) {
      b.qs[l] = static_cast<uint8_t>(static_cast<int>(q[l]) | static_cast<int>(q[l + 16]) << 4);
    }
    store_block(blocks, b);
  }
}

}  // namespace bantam::quant
