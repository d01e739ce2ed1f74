// The 5-bit codes that q5_0 and q5_1 share: sixteen bytes of nibbles and 32 fifth bits; picture in q5_0.h.
// Called by their codecs and packers. Stateless; thread-safe.
#pragma once

#include <cstdint>

namespace bantam::quant {

inline void unpack_codes5(const uint8_t qh[4], const uint8_t qs[16], uint8_t code[32]) {
  for (int l = 0; l < 16; ++l) {
    const int low = qh[l / 8] >> (l % 8) & 1, high = qh[2 + l / 8] >> (l % 8) & 1;
    code[l] = static_cast<uint8_t>((qs[l] & 15) | low << 4);
    code[l + 16] = static_cast<uint8_t>(qs[l] >> 4 | high << 4);
  }
}

// codes: whole numbers that become 0..31 when `bias` is added.
inline void pack_codes5(const float codes[32], int bias, uint8_t qh[4], uint8_t qs[16]) {
  for (int l = 0; l < 4; ++l) qh[l] = 0;
  for (int l = 0; l < 16; ++l) {
    const int a = static_cast<int>(codes[l]) + bias, b = static_cast<int>(codes[l + 16]) + bias;
    qs[l] = static_cast<uint8_t>((a & 15) | (b & 15) << 4);
    qh[l / 8] = static_cast<uint8_t>(qh[l / 8] | a >> 4 << (l % 8));
    qh[2 + l / 8] = static_cast<uint8_t>(qh[2 + l / 8] | b >> 4 << (l % 8));
  }
}

}  // namespace bantam::quant
