// Q5_1: 32 elements in 24 bytes (6 bits per weight), little-endian as in GGUF.
//   value[i] = d * code[i] + m, code 0..31; bits as in q5_0.h
// The layout is for packers and codecs; the functions are the format's row in format.h. Stateless; thread-safe.
#pragma once

#include <cstdint>

namespace bantam::quant {

struct BlockQ5_1 {
  uint16_t d, m;   // f16
  uint8_t qh[4];   // fifth bits
  uint8_t qs[16];  // low four bits
};
static_assert(sizeof(BlockQ5_1) == 24);

// See DecodeFn and EncodeFn in format.h. REQUIRES: n a multiple of 32.
void decode_q5_1(const uint8_t* blocks, float* out, int64_t n);
void encode_q5_1(const float* values, uint8_t* blocks, int64_t n);

}  // namespace bantam::quant
