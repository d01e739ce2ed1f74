// Q2_K: 256 elements in 84 bytes (2.625 bits per weight), little-endian as in GGUF.
//   value = (d * (scales[j] & 15)) * code - dmin * (scales[j] >> 4), code 0..3; 16 sub-blocks j of 16 elements
//   element e = 128 h + 32 s + l (h 0..1, s 0..3, l 0..31) has its code in bits 2s, 2s+1 of qs[32 h + l]:
//   qs byte:  76   54   32   10
//             s=3  s=2  s=1  s=0
// The layout is for packers and codecs; the functions are the format's row in format.h. Stateless; thread-safe.
#pragma once

#include <cstdint>

namespace bantam::quant {

struct BlockQ2_K {
  uint8_t scales[16];  // low nibble: scale, high nibble: minimum
  uint8_t qs[64];      // four codes a byte
  uint16_t d, dmin;    // f16
};
static_assert(sizeof(BlockQ2_K) == 84);

// See DecodeFn and EncodeFn in format.h. REQUIRES: n a multiple of 256.
void decode_q2_k(const uint8_t* blocks, float* out, int64_t n);
void encode_q2_k(const float* values, uint8_t* blocks, int64_t n);

}  // namespace bantam::quant
