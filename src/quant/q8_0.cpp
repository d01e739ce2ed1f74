// Codec of q8_0; layout and bit pictures in q8_0.h. Search: a scan over f16 scales.
#include "quant/q8_0.h"

#include "quant/block_input.h"
#include "quant/fit_symmetric.h"

namespace bantam::quant {

namespace {

using Codes = LinearCodes<-127, 127>;

// The error falls with the step and the rounding of single values makes it jagged, so a few neighbouring f16 scales
// are tried: from the largest value half a step beyond code 127 upwards. The textbook's max / 127 is among them.
BlockScale choose_scale(const float* x, int exponent) {
  const Range range = range_of<32>(x);
  const float peak = std::max(-range.low, range.high);
  BlockScale best = nearest_scale(peak / 127.0f, exponent);
  float best_error = symmetric_error<Codes, 32>(x, best.value);
  const uint16_t first = nearest_scale(peak / 127.5f, exponent).bits;
  for (int i = 0; i < 8; ++i) {
    const BlockScale s = scale_from_bits(static_cast<uint16_t>(std::min(first + i, 0x7BFF)), exponent);
    const float error = symmetric_error<Codes, 32>(x, s.value);
    if (error < best_error) {
      best_error = error;
      best = s;
    }
  }
  return best;
}

}  // namespace

void decode_q8_0(const uint8_t* blocks, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += 32, blocks += sizeof(BlockQ8_0)) {
    const auto b = load_block<BlockQ8_0>(blocks);
    const float d = f16_to_f32(b.d);
    for (int l = 0; l < 32; ++l) out[i + l] = static_cast<float>(b.qs[l]) * d;
  }
}

void encode_q8_0(const float* values, uint8_t* blocks, int64_t n) {
  alignas(16) float x[32], q[32];
  for (int64_t i = 0; i < n; i += 32, blocks += sizeof(BlockQ8_0)) {
    const int exponent = normalise(values + i, x, 32, reach<Codes>(kMaxHalf));
    const BlockScale s = choose_scale(x, exponent);
    symmetric_codes<Codes, 32>(x, s.value, q);
    BlockQ8_0 b{s.bits, {}};
    for (int l = 0; l < 32; ++l) b.qs[l] = static_cast<int8_t>(q[l]);
    store_block(blocks, b);
  }
}

}  // namespace bantam::quant
