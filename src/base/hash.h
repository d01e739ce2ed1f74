// A fast 64-bit fingerprint of bytes, to notice damage and to name contents: the same on every machine, about 20 GB/s
// on one core. Not for secrets: whoever wants two texts with one fingerprint can make them. Pure; thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace bantam {

class Fingerprint {
 public:
  static uint64_t of(std::span<const std::byte> bytes, uint64_t seed = 0) {
    // Four independent chains keep the multiplier busy; a chain takes 16 bytes per product.
    uint64_t lane[4] = {seed ^ kOdd[2], seed ^ kOdd[3], seed ^ kOdd[4], seed ^ kOdd[5]};
    const std::byte* p = bytes.data();
    size_t left = bytes.size();
    for (; left >= 64; p += 64, left -= 64) block(p, lane);
    std::byte tail[64] = {};
    if (left > 0) std::memcpy(tail, p, left);
    block(tail, lane);
    const uint64_t a = mix(lane[0] ^ kOdd[4], lane[1]), b = mix(lane[2] ^ kOdd[5], lane[3]);
    return mix(mix(a ^ kOdd[0], b ^ kOdd[1]) ^ bytes.size(), kOdd[2]);
  }

  // Of a sequence of values and texts, in order.
  void add(uint64_t value) { state_ = mix(state_ ^ value, kOdd[3]) + value; }
  void add(std::span<const std::byte> bytes) { add(of(bytes, state_)); }
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  uint64_t value() const { return mix(state_, kOdd[4]); }

 private:
  // Odd numbers without a pattern: the fractions of the square roots of 2, 3, 5, 7, 11 and 13.
  static constexpr uint64_t kOdd[6] = {0x6A09E667F3BCC909, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B,
                                       0xA54FF53A5F1D36F1, 0x510E527FADE682D1, 0x9B05688C2B3E6C1F};

  // Both halves of the product, folded: every bit of a and b reaches every bit of the result.
  static uint64_t mix(uint64_t a, uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }
  static uint64_t word(const std::byte* p) {
    uint64_t v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  static void block(const std::byte* p, uint64_t* lane) {
    // The lane is added after the product too: a factor that happens to be zero must not erase what came before.
    for (int i = 0; i < 4; ++i) {
      lane[i] = mix(word(p + 16 * i) ^ lane[i], word(p + 16 * i + 8) ^ kOdd[i]) + (lane[i] << 23 | lane[i] >> 41);
    }
  }

  uint64_t state_ = kOdd[5];
};

}  // namespace bantam
