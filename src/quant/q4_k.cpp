// Codec of q4_k; layout and bit pictures in q4_k.h. Search: fit_super_affine.h.
#include "quant/q4_k.h"

#include "quant/block_input.h"
#include "quant/fit_super_affine.h"

namespace bantam::quant {

void decode_q4_k(const uint8_t* blocks, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += 256, blocks += sizeof(BlockQ4_K)) {
    const auto b = load_block<BlockQ4_K>(blocks);
    const float d = f16_to_f32(b.d), dmin = f16_to_f32(b.dmin);
    uint8_t scale[8], min[8];
    unpack_scales_k4(b.scales, scale, min);
    for (int j = 0; j < 8; ++j) {
      const float s = d * static_cast<float>(scale[j]), m = dmin * static_cast<float>(min[j]);
      const uint8_t* qs = b.qs + j / 2 * 32;
      const int shift = j % 2 * 4;
      for (int l = 0; l < 32; ++l) out[i + j * 32 + l] = s * static_cast<float>(qs[l] >> shift & 15) - m;
    }
  }
}

void encode_q4_k(const float* values, uint8_t* blocks, int64_t n) {
  for (int64_t i = 0; i < n; i += 256, blocks += sizeof(BlockQ4_K)) {
    const AffineSuperBlock<8, 32, 15, 63> fit(values + i, {-0.02f, 0.03f, 4}, 3);
    BlockQ4_K b{};
    b.d = fit.d;
    b.dmin = fit.dmin;
    pack_scales_k4(fit.scale, fit.min, b.scales);
    for (int p = 0; p < 4; ++p) {
      const uint8_t* q = fit.codes + p * 64;
      for (int l = 0; l < 32; ++l) b.qs[p * 32 + l] = static_cast<uint8_t>(q[l] | q[l + 32] << 4);
    }
    store_block(blocks, b);
  }
}

}  // namespace bantam::quant
