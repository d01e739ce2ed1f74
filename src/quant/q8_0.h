// Q8_0: 32 elements in 34 bytes (8.5 bits per weight), little-endian as in GGUF.
//   value[i] = d * qs[i]
// The encoder keeps to -127..127; files may hold -128.
// The layout is for packers and codecs; the functions are the format's row in format.h. Stateless; thread-safe.
#pragma once

#include <cstdint>

namespace bantam::quant {

struct BlockQ8_0 {
  uint16_t d;     // f16
  int8_t qs[32];  // codes
};
static_assert(sizeof(BlockQ8_0) == 34);

// See DecodeFn and EncodeFn in format.h. REQUIRES: n a multiple of 32.
void decode_q8_0(const uint8_t* blocks, float* out, int64_t n);
void encode_q8_0(const float* values, uint8_t* blocks, int64_t n);

}  // namespace bantam::quant
