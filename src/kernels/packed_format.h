// The tile layout of every quantised type, as data: what pack, unpack and all kernel tables agree on.
//
// A tile is 16 rows x K, cut along K into blocks of 32. G blocks share a header with their scales, so that a tile is
// one forward stream:   [header | G x codes] [header | G x codes] ...   (the last group may hold fewer blocks)
// Codes of one block are planes of 64-byte lines. Group g (0..7) is k = 4g .. 4g+3; byte 4r + i of a line belongs to
// row r and k = 4g + i, so dword lane r is what one lane of vpdpbusd (or vpmaddubsw + vpmaddwd) takes:
//   nibbles  4 lines: line j holds group j in the low and group j + 4 in the high 4 bits     (256 bytes)
//   twos     2 lines: line h holds group 4h + i in bits 2i, 2i+1                             (128 bytes)
//   ones     1 line: bit g is group g                                                        ( 64 bytes)
//   bytes    8 lines: line g is group g, signed                                              (512 bytes)
// A code is the sum of its planes, each shifted up as PackedFormat says; weight = (code - offset) * scale + add.
// Headers, per ScaleKind (f16 unless said; each entry is 16 rows):
//   kD        d of block 0, d of block 1                                                     ( 64 bytes, G = 2)
//   kDMin     d, m                                                                           ( 64 bytes, G = 1)
//   kSix32    the rows' words 0, then their words 1: word h holds the six-bit two's complement scales sc of blocks
//             4h + i in bits 6i .. 6i + 5 and byte h of d in bits 24 .. 31; scale = d * sc     (128 bytes, G = 8)
//   kSix16    the same with a scale per 16 k: words 0 .. 3, word h those of half 4h + i        (256 bytes, G = 8)
//   others    d, dmin (zeros when unused), then per block, as bytes:                         (G = 8)
//     kSubMin32   sc, m       scale = d * sc, add = -(dmin * m)                              (+256 bytes)
//     kSub16      s8 sc of k 0..15, s8 sc of k 16..31                                        (+256 bytes)
//     kSubMin16   sc | m << 4 of k 0..15, the same of k 16..31                               (+256 bytes)
// Against the files: q4_k +2.8 %, q5_k +2.3 %, q3_k +1.8 %, q6_k +1.0 %, all others +0.
// Float types: f32, f16 and f8 are 16 rows x 1 k; bf16 is 16 rows x 2 k (pairs side by side, so that one 64-byte load
// yields two k by shifting and by masking).
#pragma once

#include <cstdint>

#include "quant/bq4.h"
#include "tensor/dtype.h"

namespace bantam::kernels {

enum class ScaleKind : uint8_t { kD, kDMin, kSubMin32, kSix32, kSub16, kSix16, kSubMin16 };

struct PackedFormat {
  ScaleKind scales = ScaleKind::kD;
  bool bytes = false;    // the bytes plane, alone
  bool nibbles = false;  // the nibbles plane
  int twos = -1;         // shift of the twos plane, -1: none
  int ones = -1;         // shift of the ones plane, -1: none
  int offset = 0;        // subtracted from the unsigned code
  bool iq4 = false;      // nibbles index quant::kIq4Values instead of being the code
  bool bq4 = false;      // nibbles index quant::kBq4Values; the code is the value + offset
  int bits = 4;          // bits of a code; 8 means signed
  bool operator==(const PackedFormat&) const = default;

  constexpr int code_bytes() const {
    return (bytes ? 512 : 0) + (nibbles ? 256 : 0) + (twos >= 0 ? 128 : 0) + (ones >= 0 ? 64 : 0);
  }
  constexpr int group_blocks() const { return scales == ScaleKind::kD ? 2 : scales == ScaleKind::kDMin ? 1 : 8; }
  constexpr int header_bytes() const {
    if (scales == ScaleKind::kD || scales == ScaleKind::kDMin) return 64;
    return scales == ScaleKind::kSix32 ? 128 : scales == ScaleKind::kSix16 ? 256 : 64 + 256;
  }
  constexpr int group_bytes() const { return header_bytes() + group_blocks() * code_bytes(); }
  // Scales per block: 1, or 2 (one per 16 k).
  constexpr int halves() const {
    return scales == ScaleKind::kSub16 || scales == ScaleKind::kSix16 || scales == ScaleKind::kSubMin16 ? 2 : 1;
  }
  // Whether the header is words of six-bit scales with d in their top bytes.
  constexpr bool has_words() const { return scales == ScaleKind::kSix32 || scales == ScaleKind::kSix16; }
  constexpr bool has_add() const {
    return scales == ScaleKind::kDMin || scales == ScaleKind::kSubMin32 || scales == ScaleKind::kSubMin16;
  }
  // Offsets from the tile's start of the group header and of the codes of block b.
  constexpr int64_t header_at(int64_t b) const { return b / group_blocks() * group_bytes(); }
  constexpr int64_t codes_at(int64_t b) const {
    return header_at(b) + header_bytes() + b % group_blocks() * code_bytes();
  }
};

// REQUIRES: a quantised type.
constexpr PackedFormat packed_format(DType dtype) {
  using enum ScaleKind;
  switch (dtype) {
    case DType::kQ8_0:
      return {.scales = kD, .bytes = true, .bits = 8};
    case DType::kQ4_0:
      return {.scales = kD, .nibbles = true, .offset = 8, .bits = 4};
    case DType::kQ5_0:
      return {.scales = kD, .nibbles = true, .ones = 4, .offset = 16, .bits = 5};
    case DType::kIQ4_NL:
      return {.scales = kD, .nibbles = true, .iq4 = true, .bits = 8};
    case DType::kQ4_1:
      return {.scales = kDMin, .nibbles = true, .bits = 4};
    case DType::kQ5_1:
      return {.scales = kDMin, .nibbles = true, .ones = 4, .bits = 5};
    case DType::kQ2_K:
      return {.scales = kSubMin16, .twos = 0, .bits = 2};
    case DType::kQ3_K:
      return {.scales = kSix16, .twos = 0, .ones = 2, .offset = 4, .bits = 3};
    case DType::kQ4_K:
      return {.scales = kSubMin32, .nibbles = true, .bits = 4};
    case DType::kQ5_K:
      return {.scales = kSubMin32, .nibbles = true, .ones = 4, .bits = 5};
    case DType::kQ6_K:
      return {.scales = kSub16, .nibbles = true, .twos = 4, .offset = 32, .bits = 6};
    case DType::kBQ4:
      return {.scales = kSix32, .nibbles = true, .offset = quant::kBq4Offset, .bq4 = true, .bits = 6};
    default:
      return {.scales = kSix32, .nibbles = true, .iq4 = true, .bits = 8};  // kIQ4_XS
  }
}

// One block of one tile, unpacked by scalar code: the reading that every table's vector code must equal.
struct TileBlock {
  int16_t codes[16][32];  // [row][k], offset subtracted
  float scale[2][16];     // [half][row]; only halves() of them are set
  float add[2][16];       // set when has_add()
};
void unpack_tile_block(const PackedFormat& format, const uint8_t* tile, int64_t block, TileBlock* out);
// The weight of row, k, rounded exactly as quant/ does.
float tile_block_weight(const PackedFormat& format, const TileBlock& block, int row, int k);

// Element (row, k) of a float tile (f32 f16 bf16 f8), before f8's block scale.
float packed_float(DType dtype, const uint8_t* tile, int64_t row, int64_t k);

// One source block (32 or 256 weights of one row), taken apart. Implemented per type in packed_source.cpp.
struct SourceBlock {
  uint8_t codes[256];  // in k order, as planes hold them (before the offset); s8 bits for bytes
  uint16_t d, dmin;    // f16 bits; dmin holds m for kDMin
  uint8_t sub[16];     // sc of 8 blocks, or of 16 halves where there are two a block
  uint8_t sub_min[8];  // kSubMin32: m of 8 blocks
};
void read_source_block(DType dtype, const uint8_t* block, SourceBlock* out);

}  // namespace bantam::kernels
