// Q3_K: 256 elements in 110 bytes (3.4375 bits per weight), little-endian as in GGUF.
//   value = (d * (scale[j] - 32)) * (code - 4), code 0..7, scale 0..63; 16 sub-blocks j of 16 elements
//   element e = 128 h + 32 s + l: low two bits as in q2_k.h; third bit is bit e / 32 of hmask[e % 32]
// The layout is for packers and codecs; the functions are the format's row in format.h. Stateless; thread-safe.
#pragma once

#include <cstdint>

namespace bantam::quant {

struct BlockQ3_K {
  uint8_t hmask[32];   // third bits
  uint8_t qs[64];      // low two bits
  uint8_t scales[12];  // sixteen 6-bit scales, see unpack_scales_q3_k
  uint16_t d;          // f16
};
static_assert(sizeof(BlockQ3_K) == 110);

// The sixteen 6-bit scales, 32 taken off. Letters are scales A = 0 .. P = 15, each four low bits and two high bits:
//   byte 0..7:   IIIIAAAA JJJJBBBB KKKKCCCC LLLLDDDD MMMMEEEE NNNNFFFF OOOOGGGG PPPPHHHH   (low bits)
//   byte 8..11:  MMIIEEAA NNJJFFBB OOKKGGCC PPLLHHDD                                       (high bits)
inline void unpack_scales_q3_k(const uint8_t packed[12], int8_t scale[16]) {
  for (int j = 0; j < 16; ++j) {
    const int low = packed[j % 8] >> (j / 8 * 4) & 15;
    const int high = packed[8 + j % 4] >> (j / 4 * 2) & 3;
    scale[j] = static_cast<int8_t>((low | high << 4) - 32);
  }
}
inline void pack_scales_q3_k(const int8_t scale[16], uint8_t packed[12]) {
  for (int i = 0; i < 12; ++i) packed[i] = 0;
  for (int j = 0; j < 16; ++j) {
    const int s = scale[j] + 32;
    packed[j % 8] = static_cast<uint8_t>(packed[j % 8] | (s & 15) << (j / 8 * 4));
    packed[8 + j % 4] = static_cast<uint8_t>(packed[8 + j % 4] | s >> 4 << (j / 4 * 2));
  }
}

// See DecodeFn and EncodeFn in format.h. REQUIRES: n a multiple of 256.
void decode_q3_k(const uint8_t* blocks, float* out, int64_t n);
void encode_q3_k(const float* values, uint8_t* blocks, int64_t n);

}  // namespace bantam::quant
