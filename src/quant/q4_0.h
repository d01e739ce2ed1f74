// Q4_0: 32 elements in 18 bytes (4.5 bits per weight), little-endian as in GGUF.
//   value[i] = d * (code[i] - 8), code 0..15, d any sign (the encoder gives the lopsided -8 to whichever end needs it)
//   byte i of qs:  7654 3210
//                  |    code of element i      (i = 0..15)
//                  code of element i + 16
// The layout is for packers and codecs; the functions are the format's row in format.h. Stateless; thread-safe.
#pragma once

#include <cstdint>

namespace bantam::quant {

struct BlockQ4_0 {
  uint16_t d;      // f16
  uint8_t qs[16];  // two codes a byte
};
static_assert(sizeof(BlockQ4_0) == 18);

// See DecodeFn and EncodeFn in format.h. REQUIRES: n a multiple of 32.
void decode_q4_0(const uint8_t* blocks, float* out, int64_t n);
void encode_q4_0(const float* values, uint8_t* blocks, int64_t n);

}  // namespace bantam::quant
