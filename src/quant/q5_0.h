// Q5_0: 32 elements in 22 bytes (5.5 bits per weight), little-endian as in GGUF.
//   value[i] = d * (code[i] - 16), code 0..31
//   code of element i      (i < 16) = low nibble of qs[i]  | bit i of qh << 4
//   code of element i + 16          = high nibble of qs[i] | bit i + 16 of qh << 4
//   qh is 32 bits, least significant byte first.
// The layout is for packers and codecs; the functions are the format's row in format.h. Stateless; thread-safe.
#pragma once

#include <cstdint>

namespace bantam::quant {

struct BlockQ5_0 {
  uint16_t d;      // f16
  uint8_t qh[4];   // fifth bits
  uint8_t qs[16];  // low four bits
};
static_assert(sizeof(BlockQ5_0) == 22);

// See DecodeFn and EncodeFn in format.h. REQUIRES: n a multiple of 32.
void decode_q5_0(const uint8_t* blocks, float* out, int64_t n);
void encode_q5_0(const float* values, uint8_t* blocks, int64_t n);

}  // namespace bantam::quant
