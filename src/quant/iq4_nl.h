// IQ4_NL: 32 elements in 18 bytes (4.5 bits per weight), little-endian as in GGUF.
//   value[i] = d * kIq4Values[code[i]], code 0..15: a fixed, uneven code book that suits bell-shaped weights
//   nibbles as in q4_0.h
// The layout is for packers and codecs; the functions are the format's row in format.h. Stateless; thread-safe.
#pragma once

#include <cstdint>

namespace bantam::quant {

struct BlockIQ4_NL {
  uint16_t d;      // f16
  uint8_t qs[16];  // low nibble: element i, high nibble: element i + 16
};
static_assert(sizeof(BlockIQ4_NL) == 18);

// The code book. Zero is not in it; the value nearest is 1 (code 8).
inline constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// See DecodeFn and EncodeFn in format.h. REQUIRES: n a multiple of 32.
void decode_iq4_nl(const uint8_t* blocks, float* out, int64_t n);
void encode_iq4_nl(const float* values, uint8_t* blocks, int64_t n);

}  // namespace bantam::quant
