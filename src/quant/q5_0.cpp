// Codec of q5_0; layout and bit pictures in q5_0.h. Search: fit_symmetric.h.
#include "quant/q5_0.h"

#include "quant/block_input.h"
#include "quant/fifth_bits.h"
#include "quant/fit_symmetric.h"

namespace bantam::quant {

void decode_q5_0(const uint8_t* blocks, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += 32, blocks += sizeof(BlockQ5_0)) {
    const auto b = load_block<BlockQ5_0>(blocks);
    const float d = f16_to_f32(b.d);
    uint8_t code[32];
    unpack_codes5(b.qh, b.qs, code);
    for (int l = 0; l < 32; ++l) out[i + l] = d * static_cast<float>(code[l] - 16);
  }
}

void encode_q5_0(const float* values, uint8_t* blocks, int64_t n) {
  using Codes = LinearCodes<-16, 15>;
  alignas(16) float x[32], q[32];
  for (int64_t i = 0; i < n; i += 32, blocks += sizeof(BlockQ5_0)) {
    const int exponent = normalise(values + i, x, 32, reach<Codes>(kMaxHalf));
    const BlockScale s = fit_block<Codes, 32>(x, exponent, {0.97f, 0.02f, 12}, 2);
    symmetric_codes<Codes, 32>(x, s.value, q);
    BlockQ5_0 b{s.bits, {}, {}};
    pack_codes5(q, 16, b.qh, b.qs);
    store_block(blocks, b);
  }
}

}  // namespace bantam::quant
