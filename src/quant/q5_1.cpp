// Codec of q5_1; layout and bit pictures in q5_1.h. Search: fit_affine.h.
#include "quant/q5_1.h"

#include "quant/block_input.h"
#include "quant/fifth_bits.h"
#include "quant/fit_affine.h"

namespace bantam::quant {

void decode_q5_1(const uint8_t* blocks, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += 32, blocks += sizeof(BlockQ5_1)) {
    const auto b = load_block<BlockQ5_1>(blocks);
    const float d = f16_to_f32(b.d), m = f16_to_f32(b.m);
    uint8_t code[32];
    unpack_codes5(b.qh, b.qs, code);
    for (int l = 0; l < 32; ++l) out[i + l] = d * static_cast<float>(code[l]) + m;
  }
}

void encode_q5_1(const float* values, uint8_t* blocks, int64_t n) {
  alignas(16) float x[32], q[32];
  for (int64_t i = 0; i < n; i += 32, blocks += sizeof(BlockQ5_1)) {
    const int exponent = normalise(values + i, x, 32, {-kMaxHalf, 30 * kMaxHalf});
    const StoredAffine s = fit_affine_block<31, 32>(x, exponent, {-0.01f, 0.015f, 4}, 2);
    affine_codes<31, 32>(x, s.scale.value, s.offset.value, q);
    BlockQ5_1 b{s.scale.bits, s.offset.bits, {}, {}};
    pack_codes5(q, 0, b.qh, b.qs);
    store_block(blocks, b);
  }
}

}  // namespace bantam::quant
