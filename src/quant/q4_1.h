// Q4_1: 32 elements in 20 bytes (5 bits per weight), little-endian as in GGUF.
//   value[i] = d * code[i] + m, code 0..15; nibbles as in q4_0.h
// The layout is for packers and codecs; the functions are the format's row in format.h. Stateless; thread-safe.
#pragma once

#include <cstdint>

namespace bantam::quant {

struct BlockQ4_1 {
  uint16_t d, m;   // f16
  uint8_t qs[16];  // low nibble: element i, high nibble: element i + 16
};
static_assert(sizeof(BlockQ4_1) == 20);

// See DecodeFn and EncodeFn in format.h. REQUIRES: n a multiple of 32.
void decode_q4_1(const uint8_t* blocks, float* out, int64_t n);
void encode_q4_1(const float* values, uint8_t* blocks, int64_t n);

}  // namespace bantam::quant
