// Codec of q3_k; layout and bit pictures in q3_k.h. Search: fit_super_symmetric.h.
#include "quant/q3_k.h"

#include "quant/block_input.h"
#include "quant/fit_super_symmetric.h"

namespace bantam::quant {

void decode_q3_k(const uint8_t* blocks, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += 256, blocks += sizeof(BlockQ3_K)) {
    const auto b = load_block<BlockQ3_K>(blocks);
    const float d = f16_to_f32(b.d);
    int8_t scale[16];
    unpack_scales_q3_k(b.scales, scale);
    for (int j = 0; j < 16; ++j) {
      const float s = d * static_cast<float>(scale[j]);
      const uint8_t* qs = b.qs + j / 8 * 32 + j % 2 * 16;
      const uint8_t* high = b.hmask + j % 2 * 16;
      const int shift = j % 8 / 2 * 2;
      for (int l = 0; l < 16; ++l) {
        const int code = (qs[l] >> shift & 3) | (high[l] >> (j / 2) & 1) << 2;
        out[i + j * 16 + l] = s * static_cast<float>(code - 4);
      }
    }
  }
}

void encode_q3_k(const float* values, uint8_t* blocks, int64_t n) {
  for (int64_t i = 0; i < n; i += 256, blocks += sizeof(BlockQ3_K)) {
    const SymmetricSuperBlock<16, 16, LinearCodes<-4, 3>, -32, 31> fit(values + i, {0.9f, 0.08f, 12}, 3);
    BlockQ3_K b{};
    b.d = fit.d;
    pack_scales_q3_k(fit.scale, b.scales);
    for (int j = 0; j < 16; ++j) {
      uint8_t* qs = b.qs + j / 8 * 32 + j % 2 * 16;
      uint8_t* high = b.hmask + j % 2 * 16;
      const int shift = j % 8 / 2 * 2;
      for (int l = 0; l < 16; ++l) {
        const int code = static_cast<int>(fit.codes[j * 16 + l]) + 4;
        qs[l] = static_cast<uint8_t>(qs[l] | (code & 3) << shift);
        high[l] = static_cast<uint8_t>(high[l] | code >> 2 << (j / 2));
      }
    }
    store_block(blocks, b);
  }
}

}  // namespace bantam::quant
