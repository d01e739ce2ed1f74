// Codec of q6_k; layout and bit pictures in q6_k.h. Search: fit_super_symmetric.h.
#include "quant/q6_k.h"

#include "quant/block_input.h"
#include "quant/fit_super_symmetric.h"

namespace bantam::quant {

namespace {

// Where the bits of sub-block j's element l (0..15) live.
struct Place {
  int low, low_shift;    // byte of ql and shift of the nibble
  int high, high_shift;  // byte of qh and shift of the two bits
};
Place place(int j) {
  const int h = j / 8, s = j % 8 / 2, l = j % 2 * 16;
  return {64 * h + 32 * (s & 1) + l, s / 2 * 4, 32 * h + l, 2 * s};
}

}  // namespace

void decode_q6_k(const uint8_t* blocks, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += 256, blocks += sizeof(BlockQ6_K)) {
    const auto b = load_block<BlockQ6_K>(blocks);
    const float d = f16_to_f32(b.d);
    for (int j = 0; j < 16; ++j) {
      const float s = d * static_cast<float>(b.scales[j]);
      const Place p = place(j);
      for (int l = 0; l < 16; ++l) {
        const int code = (b.ql[p.low + l] >> p.low_shift & 15) | (b.qh[p.high + l] >> p.high_shift & 3) << 4;
        out[i + j * 16 + l] = s * static_cast<float>(code - 32);
      }
    }
  }
}

void encode_q6_k(const float* values, uint8_t* blocks, int64_t n) {
  for (int64_t i = 0; i < n; i += 256, blocks += sizeof(BlockQ6_K)) {
    const SymmetricSuperBlock<16, 16, LinearCodes<-32, 31>, -128, 127> fit(values + i, {0.97f, 0.01f, 8}, 2);
    BlockQ6_K b{};
    b.d = fit.d;
    for (int j = 0; j < 16; ++j) {
      b.scales[j] = fit.scale[j];
      const Place p = place(j);
      for (int l = 0; l < 16; ++l) {
        const int code = static_cast<int>(fit.codes[j * 16 + l]) + 32;
        b.ql[p.low + l] = static_cast<uint8_t>(b.ql[p.low + l] | (code & 15) << p.low_shift);
        b.qh[p.high + l] = static_cast<uint8_t>(b.qh[p.high + l] | code >> 4 << p.high_shift);
      }
    }
    store_block(blocks, b);
  }
}

}  // namespace bantam::quant
