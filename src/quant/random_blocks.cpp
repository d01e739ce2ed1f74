// Random valid blocks; see random_blocks.h. Every block starts as Philox output; then its scale fields are overwritten
// by numbers in range, whose variation comes from the random bits they replace.
#include "quant/random_blocks.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/rng.h"
#include "quant/block_input.h"
#include "quant/bq4.h"
#include "quant/floats.h"
#include "quant/format.h"
#include "quant/iq4_nl.h"
#include "quant/iq4_xs.h"
#include "quant/q2_k.h"
#include "quant/q3_k.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "quant/q4_k.h"
#include "quant/q5_0.h"
#include "quant/q5_1.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"
#include "quant/q8_0.h"

namespace bantam::quant {
namespace {

// Mean square of the whole numbers low..high, and of the code books.
constexpr double mean_square(int low, int high) {
  double sum = 0;
  for (int i = low; i <= high; ++i) sum += static_cast<double>(i) * i;
  return sum / (high - low + 1);
}
constexpr double kIq4MeanSquare = [] {
  double sum = 0;
  for (int v : kIq4Values) sum += static_cast<double>(v) * v;
  return sum / 16;
}();
constexpr double kBq4MeanSquare = [] {
  double sum = 0;
  for (int v : kBq4Values) sum += static_cast<double>(v) * v;
  return sum / 16;
}();
// Mean square of codes 0..top around their middle.
constexpr double centred_square(int top) {
  return ((top + 1.0) * (top + 1.0) - 1.0) / 12.0;
}

// A block scale varies by +-25 % with eight of the random bits it replaces; this is its root mean square.
const double kJitterRms = std::sqrt(1.0 + 0.25 / 12.0);
float jitter(float unit, uint16_t random) {
  return unit * (0.75f + static_cast<float>(random & 255) * (0.5f / 255));
}
uint16_t positive_scale(float unit, uint16_t random) {
  return f16_saturated(jitter(unit, random));
}
// Random sign too: formats with lopsided codes have mean zero only over both.
uint16_t signed_scale(float unit, uint16_t random) {
  return static_cast<uint16_t>(positive_scale(unit, random) | (random & 0x8000u));
}
uint16_t scaled(uint16_t half, float factor) {
  return f16_saturated(f16_to_f32(half) * factor);
}

// unit: the scale that gives the asked standard deviation; one overload of finish per layout.
void finish(BlockQ4_0& b, float unit) {
  b.d = signed_scale(unit, b.d);
}
void finish(BlockQ5_0& b, float unit) {
  b.d = signed_scale(unit, b.d);
}
void finish(BlockQ8_0& b, float unit) {
  b.d = signed_scale(unit, b.d);
}
void finish(BlockIQ4_NL& b, float unit) {
  b.d = signed_scale(unit, b.d);
}
void finish(BlockIQ4_XS& b, float unit) {
  b.d = signed_scale(unit, b.d);
}
void finish(BlockBQ4& b, float unit) {
  b.d = signed_scale(unit, b.d);
}
void finish(BlockQ3_K& b, float unit) {
  b.d = signed_scale(unit, b.d);
}
void finish(BlockQ4_1& b, float unit) {
  b.d = positive_scale(unit, b.d);
  b.m = scaled(b.d, -7.5f);
}
void finish(BlockQ5_1& b, float unit) {
  b.d = positive_scale(unit, b.d);
  b.m = scaled(b.d, -15.5f);
}
void finish(BlockQ2_K& b, float unit) {
  b.d = positive_scale(unit, b.d);
  b.dmin = scaled(b.d, 1.5f);
  for (uint8_t& s : b.scales) s = static_cast<uint8_t>(((s & 7) | 8) * 17);  // scale 8..15, minimum the same
}
// Scales 32..63 and minima equal to them, in the packed form.
void finish_scales_k4(uint8_t scales[12]) {
  for (int j = 0; j < 4; ++j) {
    scales[j] |= 0xA0;
    scales[4 + j] = scales[j];
    scales[8 + j] = static_cast<uint8_t>((scales[8 + j] & 15) * 17);
  }
}
void finish(BlockQ4_K& b, float unit) {
  b.d = positive_scale(unit, b.d);
  b.dmin = scaled(b.d, 7.5f);
  finish_scales_k4(b.scales);
}
void finish(BlockQ5_K& b, float unit) {
  b.d = positive_scale(unit, b.d);
  b.dmin = scaled(b.d, 15.5f);
  finish_scales_k4(b.scales);
}
void finish(BlockQ6_K& b, float unit) {
  b.d = signed_scale(unit, b.d);
  for (int8_t& s : b.scales) {
    const int magnitude = 64 | (s & 63);
    s = static_cast<int8_t>(s < 0 ? -magnitude : magnitude);
  }
}

struct Stream {
  uint64_t seed;
  uint32_t type;
  std::array<uint32_t, 4> draw(uint64_t position) const {
    return philox4x32({static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32), 0x73796E74u, type},
                      {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  }
};

// mean_square: of value / scale when the scale field is 1.
template <class Block>
void fill(const Stream& stream, uint64_t first, uint8_t* out, int64_t n, float stddev, double square) {
  constexpr uint64_t kDraws = (sizeof(Block) + 15) / 16;
  const float unit = static_cast<float>(static_cast<double>(stddev) / (std::sqrt(square) * kJitterRms));
  for (int64_t i = 0; i < n; ++i, out += sizeof(Block)) {
    uint32_t words[kDraws * 4];
    const uint64_t position = (first + static_cast<uint64_t>(i)) * kDraws;
    for (uint64_t k = 0; k < kDraws; ++k) {
      const auto r = stream.draw(position + k);
      std::memcpy(words + 4 * k, r.data(), 16);
    }
    Block b;
    std::memcpy(&b, words, sizeof b);
    finish(b, unit);
    store_block(out, b);
  }
}

// Plain types of two and four bytes: element i comes from word i % 4 of draw i / 4; the sum of its two halves is
// triangular.
void fill_floats(const Stream& stream, EncodeFn encode, int bytes, uint64_t first, uint8_t* out, int64_t n,
                 float stddev) {
  constexpr uint64_t kChunk = 256;
  const float unit = static_cast<float>(static_cast<double>(stddev) / std::sqrt((0x1.0p32 - 1.0) / 6.0));
  const uint64_t end = first + static_cast<uint64_t>(n);
  for (uint64_t at = first; at < end;) {
    const uint64_t stop = std::min(end, (at / kChunk + 1) * kChunk);
    float values[kChunk];
    float* next = values;
    for (uint64_t draw = at / 4; draw * 4 < stop; ++draw) {
      for (const uint32_t word : stream.draw(draw)) {
        *next++ = static_cast<float>(static_cast<int>(word & 0xFFFF) + static_cast<int>(word >> 16) - 65535) * unit;
      }
    }
    const int64_t count = static_cast<int64_t>(stop - at);
    encode(values + at % 4, out, count);
    out += count * bytes;
    at = stop;
  }
}

// f8_e4m3: element i comes from half-word i % 8 of draw i / 8; the sum of its two bytes picks one of 511 codes.
void fill_f8(const Stream& stream, uint64_t first, uint8_t* out, int64_t n, float stddev) {
  const float unit = static_cast<float>(static_cast<double>(stddev) / std::sqrt((256.0 * 256.0 - 1.0) / 6.0));
  uint8_t codes[511];
  for (int sum = 0; sum < 511; ++sum) codes[sum] = f32_to_f8_e4m3(static_cast<float>(sum - 255) * unit);
  const uint64_t end = first + static_cast<uint64_t>(n);
  for (uint64_t at = first; at < end;) {
    const auto r = stream.draw(at / 8);
    for (const uint64_t stop = std::min(end, (at / 8 + 1) * 8); at < stop; ++at) {
      const uint32_t half = r[at % 8 / 2] >> (at % 2 * 16) & 0xFFFF;
      *out++ = codes[(half & 255) + (half >> 8)];
    }
  }
}

}  // namespace

void random_blocks(DType type, uint64_t seed, uint64_t first, uint8_t* out, int64_t n, float stddev) {
  const Stream stream{seed, static_cast<uint32_t>(type)};
  const double high_scales = mean_square(32, 63);
  switch (type) {
    case DType::kF32:
      return fill_floats(stream, encode_f32, 4, first, out, n, stddev);
    case DType::kF16:
      return fill_floats(stream, encode_f16, 2, first, out, n, stddev);
    case DType::kBF16:
      return fill_floats(stream, encode_bf16, 2, first, out, n, stddev);
    case DType::kF8E4M3:
      return fill_f8(stream, first, out, n, stddev);
    case DType::kQ8_0:
      return fill<BlockQ8_0>(stream, first, out, n, stddev, mean_square(-128, 127));
    case DType::kQ4_0:
      return fill<BlockQ4_0>(stream, first, out, n, stddev, mean_square(-8, 7));
    case DType::kQ4_1:
      return fill<BlockQ4_1>(stream, first, out, n, stddev, centred_square(15));
    case DType::kQ5_0:
      return fill<BlockQ5_0>(stream, first, out, n, stddev, mean_square(-16, 15));
    case DType::kQ5_1:
      return fill<BlockQ5_1>(stream, first, out, n, stddev, centred_square(31));
    case DType::kQ2_K:
      return fill<BlockQ2_K>(stream, first, out, n, stddev, mean_square(8, 15) * centred_square(3));
    case DType::kQ3_K:
      return fill<BlockQ3_K>(stream, first, out, n, stddev, mean_square(-32, 31) * mean_square(-4, 3));
    case DType::kQ4_K:
      return fill<BlockQ4_K>(stream, first, out, n, stddev, high_scales * centred_square(15));
    case DType::kQ5_K:
      return fill<BlockQ5_K>(stream, first, out, n, stddev, high_scales * centred_square(31));
    case DType::kQ6_K:
      return fill<BlockQ6_K>(stream, first, out, n, stddev, mean_square(64, 127) * mean_square(-32, 31));
    case DType::kIQ4_NL:
      return fill<BlockIQ4_NL>(stream, first, out, n, stddev, kIq4MeanSquare);
    case DType::kIQ4_XS:
      return fill<BlockIQ4_XS>(stream, first, out, n, stddev, mean_square(-32, 31) * kIq4MeanSquare);
    case DType::kBQ4:
      return fill<BlockBQ4>(stream, first, out, n, stddev, mean_square(-32, 31) * kBq4MeanSquare);
    default:
      BANTAM_CHECK(false && "random_blocks: not a weight type");
  }
}

}  // namespace bantam::quant
