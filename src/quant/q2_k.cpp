// Codec of q2_k; layout and bit pictures in q2_k.h. Search: fit_super_affine.h.
#include "quant/q2_k.h"

#include "quant/block_input.h"
#include "quant/fit_super_affine.h"

namespace bantam::quant {

void decode_q2_k(const uint8_t* blocks, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += 256, blocks += sizeof(BlockQ2_K)) {
    const auto b = load_block<BlockQ2_K>(blocks);
    const float d = f16_to_f32(b.d), dmin = f16_to_f32(b.dmin);
    for (int j = 0; j < 16; ++j) {
      const float s = d * static_cast<float>(b.scales[j] & 15), m = dmin * static_cast<float>(b.scales[j] >> 4);
      const uint8_t* qs = b.qs + j / 8 * 32 + j % 2 * 16;
      const int shift = j % 8 / 2 * 2;
      for (int l = 0; l < 16; ++l) out[i + j * 16 + l] = s * static_cast<float>(qs[l] >> shift & 3) - m;
    }
  }
}

void encode_q2_k(const float* values, uint8_t* blocks, int64_t n) {
  for (int64_t i = 0; i < n; i += 256, blocks += sizeof(BlockQ2_K)) {
    const AffineSuperBlock<16, 16, 3, 15> fit(values + i, {-0.05f, 0.1f, 5}, 4);
    BlockQ2_K b{};
    b.d = fit.d;
    b.dmin = fit.dmin;
    for (int j = 0; j < 16; ++j) {
      b.scales[j] = static_cast<uint8_t>(fit.scale[j] | fit.min[j] << 4);
      uint8_t* qs = b.qs + j / 8 * 32 + j % 2 * 16;
      const int shift = j % 8 / 2 * 2;
      for (int l = 0; l < 16; ++l) qs[l] = static_cast<uint8_t>(qs[l] | fit.codes[j * 16 + l] << shift);
    }
    store_block(blocks, b);
  }
}

}  // namespace bantam::quant
