// Codec of q4_0; layout and bit pictures in q4_0.h. Search: fit_symmetric.h.
#include "quant/q4_0.h"

#include "quant/block_input.h"
#include "quant/fit_symmetric.h"

namespace bantam::quant {

void decode_q4_0(const uint8_t* blocks, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += 32, blocks += sizeof(BlockQ4_0)) {
    const auto b = load_block<BlockQ4_0>(blocks);
    const float d = f16_to_f32(b.d);
    for (int l = 0; l < 16; ++l) {
      out[i + l] = d * static_cast<float>((b.qs[l] & 15) - 8);
      out[i + l + 16] = d * static_cast<float>((b.qs[l] >> 4) - 8);
    }
  }
}

void encode_q4_0(const float* values, uint8_t* blocks, int64_t n) {
  using Codes = LinearCodes<-8, 7>;
  alignas(16) float x[32], q[32];
  for (int64_t i = 0; i < n; i += 32, blocks += sizeof(BlockQ4_0)) {
    const int exponent = normalise(values + i, x, 32, reach<Codes>(kMaxHalf));
    const BlockScale s = fit_block<Codes, 32>(x, exponent, {0.94f, 0.06f, 9}, 2);
    symmetric_codes<Codes, 32>(x, s.value, q);
    BlockQ4_0 b{s.bits, {}};
    for (int l = 0; l < 16; ++l) {
      b.qs[l] = static_cast<uint8_t>((static_cast<int>(q[l]) + 8) | (static_cast<int>(q[l + 16]) + 8) << 4);
    }
    store_block(blocks, b);
  }
}

}  // namespace bantam::quant
