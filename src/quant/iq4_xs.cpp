// Codec of iq4_xs; layout and bit pictures in iq4_xs.h. Search: fit_super_symmetric.h.
#include "quant/iq4_xs.h"

#include "quant/block_input.h"
#include "quant/fit_super_symmetric.h"
#include "quant/iq4_codes.h"

namespace bantam::quant {

void decode_iq4_xs(const uint8_t* blocks, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += 256, blocks += sizeof(BlockIQ4_XS)) {
    const auto b = load_block<BlockIQ4_XS>(blocks);
    const float d = f16_to_f32(b.d);
    int8_t scale[8];
    unpack_scales_iq4_xs(b.scales_h, b.scales_l, scale);
    for (int j = 0; j < 8; ++j) {
      const float dl = d * static_cast<float>(scale[j]);
      float* y = out + i + j * 32;
      for (int l = 0; l < 16; ++l) {
        const uint8_t byte = b.qs[j * 16 + l];
        y[l] = dl * static_cast<float>(kIq4Values[byte & 15]);
        y[l + 16] = dl * static_cast<float>(kIq4Values[byte >> 4]);
      }
    }
  }
}

void encode_iq4_xs(const float* values, uint8_t* blocks, int64_t n) {
  for (int64_t i = 0; i < n; i += 256, blocks += sizeof(BlockIQ4_XS)) {
    const SymmetricSuperBlock<8, 32, Iq4Codes, -32, 31> fit(values + i, {0.9f, 0.05f, 12}, 2);
    BlockIQ4_XS b{};
    b.d = fit.d;
    pack_scales_iq4_xs(fit.scale, &b.scales_h, b.scales_l);
    for (int j = 0; j < 8; ++j) {
      const float* q = fit.codes + j * 32;
      for (int l = 0; l < 16; ++l) {
        b.qs[j * 16 + l] = static_cast<uint8_t>(Iq4Codes::code_of(q[l]) | Iq4Codes::code_of(q[l + 16]) << 4);
      }
    }
    store_block(blocks, b);
  }
}

}  // namespace bantam::quant
