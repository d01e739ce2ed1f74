// Codec of iq4_nl; layout and bit pictures in iq4_nl.h. Search: fit_symmetric.h.
#include "quant/iq4_nl.h"

#include "quant/block_input.h"
#include "quant/fit_symmetric.h"
#include "quant/iq4_codes.h"

namespace bantam::quant {

void decode_iq4_nl(const uint8_t* blocks, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += 32, blocks += sizeof(BlockIQ4_NL)) {
    const auto b = load_block<BlockIQ4_NL>(blocks);
    const float d = f16_to_f32(b.d);
    for (int l = 0; l < 16; ++l) {
      out[i + l] = d * static_cast<float>(kIq4Values[b.qs[l] & 15]);
      out[i + l + 16] = d * static_cast<float>(kIq4Values[b.qs[l] >> 4]);
    }
  }
}

void encode_iq4_nl(const float* values, uint8_t* blocks, int64_t n) {
  alignas(16) float x[32], q[32];
  for (int64_t i = 0; i < n; i += 32, blocks += sizeof(BlockIQ4_NL)) {
    const int exponent = normalise(values + i, x, 32, reach<Iq4Codes>(kMaxHalf));
    const BlockScale s = fit_block<Iq4Codes, 32>(x, exponent, {0.9f, 0.05f, 12}, 2);
    symmetric_codes<Iq4Codes, 32>(x, s.value, q);
    BlockIQ4_NL b{s.bits, {}};
    for (int l = 0; l < 16; ++l) {
      b.qs[l] = static_cast<uint8_t>(Iq4Codes::code_of(q[l]) | Iq4Codes::code_of(q[l + 16]) << 4);
    }
    store_block(blocks, b);
  }
}

}  // namespace bantam::quant
