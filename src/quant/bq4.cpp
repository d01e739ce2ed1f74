// Codec of bq4; layout and bit pictures in bq4.h. Search: fit_super_symmetric.h.
#include "quant/bq4.h"

#include <array>

#include "quant/block_input.h"
#include "quant/fit_super_symmetric.h"

namespace bantam::quant {
namespace {

// The nearest values of the code book, by cells of one half: midpoints between values are multiples of it, so a cell
// belongs to one value. Cell c is [c / 2, (c + 1) / 2).
constexpr int kFirstCell = 2 * kBq4Values[0], kCells = 2 * (kBq4Values[15] - kBq4Values[0]) + 1;
constexpr auto kCellCode = [] {
  std::array<uint8_t, static_cast<size_t>(kCells)> t{};
  for (int c = 0; c < kCells; ++c) {
    const auto distance = [c](int code) {
      const int d = 2 * (kFirstCell + c) + 1 - 4 * kBq4Values[code];  // from the cell's middle, in quarters
      return d < 0 ? -d : d;
    };
    int best = 0;
    for (int code = 1; code < 16; ++code) {
      if (distance(code) < distance(best)) best = code;
    }
    t[static_cast<size_t>(c)] = static_cast<uint8_t>(best);
  }
  return t;
}();
constexpr auto kCellValue = [] {
  std::array<float, static_cast<size_t>(kCells)> t{};
  for (size_t c = 0; c < t.size(); ++c) t[c] = kBq4Values[kCellCode[c]];
  return t;
}();

struct Codes {
  static constexpr float kMin = kBq4Values[0];
  static constexpr float kMax = kBq4Values[15];
  static F4 nearest(F4 t) {
    const F4 cell = round4((min4(max4(t, splat(kMin)), splat(kMax)) * splat(2.0f)) - splat(0.5f));
    F4 v;
    for (int i = 0; i < 4; ++i) v[i] = kCellValue[static_cast<size_t>(static_cast<int>(cell[i]) - kFirstCell)];
    return v;
  }
  // The 4-bit code of a value of the book.
  static int code_of(float value) { return kCellCode[static_cast<size_t>(static_cast<int>(value) * 2 - kFirstCell)]; }
};

}  // namespace

void decode_bq4(const uint8_t* blocks, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += 256, blocks += sizeof(BlockBQ4)) {
    const auto b = load_block<BlockBQ4>(blocks);
    const float d = f16_to_f32(b.d);
    int8_t scale[8];
    unpack_scales_bq4(b.scales, scale);
    for (int j = 0; j < 8; ++j) {
      const float dl = d * static_cast<float>(scale[j]);
      float* y = out + i + j * 32;
      for (int l = 0; l < 16; ++l) {
        const uint8_t byte = b.qs[j * 16 + l];
        y[l] = dl * static_cast<float>(kBq4Values[byte & 15]);
        y[l + 16] = dl * static_cast<float>(kBq4Values[byte >> 4]);
      }
    }
  }
}

void encode_bq4(const float* values, uint8_t* blocks, int64_t n) {
  for (int64_t i = 0; i < n; i += 256, blocks += sizeof(BlockBQ4)) {
    const SymmetricSuperBlock<8, 32, Codes, -32, 31> fit(values + i, {0.9f, 0.05f, 12}, 2);
    BlockBQ4 b{};
    b.d = fit.d;
    pack_scales_bq4(fit.scale, b.scales);
    for (int j = 0; j < 8; ++j) {
      const float* q = fit.codes + j * 32;
      for (int l = 0; l < 16; ++l) {
        b.qs[j * 16 + l] = static_cast<uint8_t>(Codes::code_of(q[l]) | Codes::code_of(q[l + 16]) << 4);
      }
    }
    store_block(blocks, b);
  }
}

}  // namespace bantam::quant
