// Packing and unpacking of tiles: scalar, run once per load. Codes move as dwords of four k (SWAR), which packs about
// 1 GB/s of source per core; see packed_format.h for the layout and packed_source.cpp for the source blocks.
#include "kernels/packed.h"

#include <bit>
#include <cstring>

#include "base/check.h"
#include "kernels/packed_format.h"
#include "quant/iq4_nl.h"
#include "tensor/bf16.h"

namespace bantam::kernels {
namespace {

constexpr int kRows = static_cast<int>(kTileRows);

uint32_t load_u32(const uint8_t* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
uint16_t load_u16(const uint8_t* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
void store_u32(uint8_t* p, uint32_t v) {
  std::memcpy(p, &v, sizeof v);
}
void store_u16(uint8_t* p, uint16_t v) {
  std::memcpy(p, &v, sizeof v);
}

// 32 codes of one row into the planes of one block.
void store_codes(const PackedFormat& f, const uint8_t* codes, int row, uint8_t* planes) {
  uint32_t d[8];
  for (int g = 0; g < 8; ++g) d[g] = load_u32(codes + 4 * g);
  uint8_t* lane = planes + 4 * row;
  if (f.bytes) {
    for (int g = 0; g < 8; ++g) store_u32(lane + 64 * g, d[g]);
    return;
  }
  if (f.nibbles) {
    for (int j = 0; j < 4; ++j) store_u32(lane + 64 * j, (d[j] & 0x0F0F0F0Fu) | (d[j + 4] & 0x0F0F0F0Fu) << 4);
    lane += 256;
  }
  if (f.twos >= 0) {
    for (int h = 0; h < 2; ++h) {
      uint32_t line = 0;
      for (int i = 0; i < 4; ++i) line |= (d[4 * h + i] >> f.twos & 0x03030303u) << 2 * i;
      store_u32(lane + 64 * h, line);
    }
    lane += 128;
  }
  if (f.ones >= 0) {
    uint32_t line = 0;
    for (int g = 0; g < 8; ++g) line |= (d[g] >> f.ones & 0x01010101u) << g;
    store_u32(lane, line);
  }
}

// The inverse: unsigned codes (signed bytes as they are) of one row.
void load_codes(const PackedFormat& f, const uint8_t* planes, int row, uint8_t* codes) {
  const uint8_t* lane = planes + 4 * row;
  if (f.bytes) {
    for (int g = 0; g < 8; ++g) store_u32(codes + 4 * g, load_u32(lane + 64 * g));
    return;
  }
  uint32_t d[8] = {};
  if (f.nibbles) {
    for (int g = 0; g < 8; ++g) d[g] = load_u32(lane + 64 * (g & 3)) >> (g < 4 ? 0 : 4) & 0x0F0F0F0Fu;
    lane += 256;
  }
  if (f.twos >= 0) {
    for (int g = 0; g < 8; ++g) d[g] |= (load_u32(lane + 64 * (g / 4)) >> 2 * (g & 3) & 0x03030303u) << f.twos;
    lane += 128;
  }
  if (f.ones >= 0) {
    for (int g = 0; g < 8; ++g) d[g] |= (load_u32(lane) >> g & 0x01010101u) << f.ones;
  }
  for (int g = 0; g < 8; ++g) store_u32(codes + 4 * g, d[g]);
}

// The words of a row: four six-bit scales each, and d in the top bytes of the first two.
void store_words(const PackedFormat& f, const SourceBlock& source, int row, uint8_t* header) {
  for (int h = 0; h < f.header_bytes() / 64; ++h) {
    uint32_t word = h < 2 ? static_cast<uint32_t>(source.d >> 8 * h & 255) << 24 : 0;
    for (int i = 0; i < 4; ++i) word |= static_cast<uint32_t>(source.sub[4 * h + i] & 63) << 6 * i;
    store_u32(header + 64 * h + 4 * row, word);
  }
}

// Header entries of one source block that starts at block b of the tile.
void store_scales(const PackedFormat& f, const SourceBlock& source, int64_t b, int row, uint8_t* header) {
  switch (f.scales) {
    case ScaleKind::kD:
      store_u16(header + 32 * (b % 2) + 2 * row, source.d);
      return;
    case ScaleKind::kDMin:
      store_u16(header + 2 * row, source.d);
      store_u16(header + 32 + 2 * row, source.dmin);
      return;
    case ScaleKind::kSix32:
    case ScaleKind::kSix16:
      return store_words(f, source, row, header);
    default:
      break;
  }
  store_u16(header + 2 * row, source.d);
  store_u16(header + 32 + 2 * row, source.dmin);
  uint8_t* sub = header + 64 + row;
  for (int s = 0; s < 8; ++s) {
    if (f.scales == ScaleKind::kSubMin32) {
      sub[32 * s] = source.sub[s];
      sub[32 * s + 16] = source.sub_min[s];
    } else {
      sub[32 * s] = source.sub[2 * s];
      sub[32 * s + 16] = source.sub[2 * s + 1];
    }
  }
}

void pack_quant_tile(DType dtype, const uint8_t* source, int64_t rows, int64_t cols, int64_t tile, uint8_t* out) {
  const PackedFormat f = packed_format(dtype);
  const int64_t source_stride = row_bytes(dtype, cols), block_elems = info(dtype).block_elems;
  std::memset(out, 0, static_cast<size_t>(tile_bytes(dtype, cols)));  // padding rows and unused header halves
  SourceBlock block;
  for (int row = 0; row < kRows && tile * kTileRows + row < rows; ++row) {
    const uint8_t* in = source + (tile * kTileRows + row) * source_stride;
    for (int64_t k = 0; k < cols; k += block_elems, in += info(dtype).block_bytes) {
      read_source_block(dtype, in, &block);
      const int64_t first = k / 32;
      store_scales(f, block, first, row, out + f.header_at(first));
      for (int64_t i = 0; i < block_elems / 32; ++i) {
        store_codes(f, block.codes + 32 * i, row, out + f.codes_at(first + i));
      }
    }
  }
}

// Byte offset of element (row, k) in a float tile.
int64_t float_at(DType dtype, int64_t row, int64_t k) {
  if (dtype == DType::kBF16) return (k / 2 * kTileRows + row) * 4 + k % 2 * 2;
  return (k * kTileRows + row) * info(dtype).block_bytes;
}

void pack_float_tile(DType dtype, const uint8_t* source, int64_t rows, int64_t cols, int64_t tile, uint8_t* out) {
  const int64_t bytes = info(dtype).block_bytes;
  std::memset(out, 0, static_cast<size_t>(tile_bytes(dtype, cols)));
  for (int64_t row = 0; row < kTileRows && tile * kTileRows + row < rows; ++row) {
    const uint8_t* in = source + (tile * kTileRows + row) * cols * bytes;
    for (int64_t k = 0; k < cols; ++k) {
      uint8_t* to = out + float_at(dtype, row, k);
      if (bytes == 4) {
        std::memcpy(to, in + 4 * k, 4);
      } else if (bytes == 2) {
        std::memcpy(to, in + 2 * k, 2);
      } else {
        *to = in[k];
      }
    }
  }
}

void unpack_float_row(const PackedMatrix& m, const uint8_t* tile, int64_t row, float* out) {
  for (int64_t k = 0; k < m.cols; ++k) out[k] = packed_float(m.dtype, tile, row % kTileRows, k);
  if (m.f8_scales == nullptr) return;
  const float* scales = m.f8_scales + row / 128 * ((m.cols + 127) / 128);
  for (int64_t k = 0; k < m.cols; ++k) out[k] *= scales[k / 128];
}

struct RowScales {
  float scale[2], add[2];
};

// The scales of block b of one row under a header of words.
RowScales word_scales(const PackedFormat& f, const uint8_t* header, int64_t b, int row) {
  const auto word = [&](int64_t h) { return load_u32(header + 64 * h + 4 * row); };
  const float d = f16_to_f32(static_cast<uint16_t>(word(0) >> 24 | word(1) >> 24 << 8));
  RowScales out{};
  for (int s = 0; s < f.halves(); ++s) {
    const int64_t n = b % 8 * f.halves() + s;
    out.scale[s] = d * static_cast<float>(static_cast<int32_t>(word(n / 4) << (26 - 6 * (n % 4))) >> 26);
  }
  return out;
}

// Scales and additive terms of block b of one row.
RowScales row_scales(const PackedFormat& f, const uint8_t* tile, int64_t b, int row) {
  const uint8_t* header = tile + f.header_at(b);
  if (f.has_words()) return word_scales(f, header, b, row);
  const float d = f16_to_f32(load_u16(header + (f.scales == ScaleKind::kD ? 32 * (b % 2) : 0) + 2 * row));
  const float dmin = f16_to_f32(load_u16(header + 32 + 2 * row));
  const uint8_t* sub = header + 64 + 32 * (b % 8) + row;
  const auto low = [d](uint8_t sc) { return d * static_cast<float>(static_cast<int8_t>(sc)); };
  switch (f.scales) {
    case ScaleKind::kD:
      return {{d}, {}};
    case ScaleKind::kDMin:
      return {{d}, {dmin}};
    case ScaleKind::kSubMin32:
      return {{d * static_cast<float>(sub[0])}, {-(dmin * static_cast<float>(sub[16]))}};
    case ScaleKind::kSub16:
      return {{low(sub[0]), low(sub[16])}, {}};
    default:
      break;
  }
  return {{d * static_cast<float>(sub[0] & 15), d * static_cast<float>(sub[16] & 15)},
          {-(dmin * static_cast<float>(sub[0] >> 4)), -(dmin * static_cast<float>(sub[16] >> 4))}};
}

// 32 signed weight codes of one row, offset subtracted.
void row_codes(const PackedFormat& f, const uint8_t* tile, int64_t b, int row, int16_t* out) {
  uint8_t codes[32];
  load_codes(f, tile + f.codes_at(b), row, codes);
  for (int k = 0; k < 32; ++k) {
    const int code = f.iq4     ? quant::kIq4Values[codes[k]]
                     : f.bq4   ? quant::kBq4Values[codes[k]]
                     : f.bytes ? static_cast<int8_t>(codes[k])
                               : codes[k] - f.offset;
    out[k] = static_cast<int16_t>(code);
  }
}

// The weight itself, rounded exactly as quant/ does: the product with scale is exact wherever there is an add.
float weight(const PackedFormat& f, int code, float scale, float add) {
  const float scaled = static_cast<float>(code) * scale;
  return f.has_add() ? scaled + add : scaled;
}

}  // namespace

int64_t tile_bytes(DType dtype, int64_t cols) {
  int64_t bytes;
  if (info(dtype).is_quant) {
    const PackedFormat f = packed_format(dtype);
    const int64_t blocks = cols / 32, rest = blocks % f.group_blocks();
    bytes = f.header_at(blocks) + (rest ? f.header_bytes() + rest * f.code_bytes() : 0);
  } else {
    bytes = (dtype == DType::kBF16 ? (cols + 1) / 2 * 2 : cols) * kTileRows * info(dtype).block_bytes;
  }
  return (bytes + 63) / 64 * 64;
}

bool packable(DType dtype, int64_t cols) {
  const DTypeInfo& type = info(dtype);
  return (type.is_float || type.is_quant) && cols > 0 && cols % type.block_elems == 0;
}

void pack_tiles(DType dtype, const void* source, int64_t rows, int64_t cols, int64_t tile_begin, int64_t tile_end,
                std::byte* out) {
  BANTAM_CHECK(packable(dtype, cols) && tile_begin >= 0 && tile_end <= tile_count(rows));
  const int64_t bytes = tile_bytes(dtype, cols);
  for (int64_t tile = tile_begin; tile < tile_end; ++tile) {
    const auto pack = info(dtype).is_quant ? pack_quant_tile : pack_float_tile;
    pack(dtype, static_cast<const uint8_t*>(source), rows, cols, tile, reinterpret_cast<uint8_t*>(out) + tile * bytes);
  }
}

float packed_float(DType dtype, const uint8_t* tile, int64_t row, int64_t k) {
  const uint8_t* p = tile + float_at(dtype, row, k);
  switch (dtype) {
    case DType::kF16:
      return f16_to_f32(load_u16(p));
    case DType::kBF16:
      return bf16_to_f32(load_u16(p));
    case DType::kF8E4M3:
      return f8_e4m3_to_f32(*p);
    default:
      return std::bit_cast<float>(load_u32(p));
  }
}

void unpack_tile_block(const PackedFormat& format, const uint8_t* tile, int64_t block, TileBlock* out) {
  for (int row = 0; row < kRows; ++row) {
    const RowScales scales = row_scales(format, tile, block, row);
    for (int h = 0; h < 2; ++h) {
      out->scale[h][row] = scales.scale[h];
      out->add[h][row] = scales.add[h];
    }
    row_codes(format, tile, block, row, out->codes[row]);
  }
}

float tile_block_weight(const PackedFormat& format, const TileBlock& block, int row, int k) {
  const int half = format.halves() == 2 ? k / 16 : 0;
  return weight(format, block.codes[row][k], block.scale[half][row], block.add[half][row]);
}

void unpack_row(const PackedMatrix& matrix, int64_t row, float* out) {
  BANTAM_CHECK(row >= 0 && row < matrix.rows);
  const uint8_t* tile =
      reinterpret_cast<const uint8_t*>(matrix.data) + row / kTileRows * tile_bytes(matrix.dtype, matrix.cols);
  if (!info(matrix.dtype).is_quant) return unpack_float_row(matrix, tile, row, out);
  const PackedFormat f = packed_format(matrix.dtype);
  const int r = static_cast<int>(row % kTileRows);
  int16_t codes[32];
  for (int64_t b = 0; b < matrix.cols / 32; ++b) {
    const RowScales scales = row_scales(f, tile, b, r);
    row_codes(f, tile, b, r, codes);
    for (int k = 0; k < 32; ++k) {
      const int half = f.halves() == 2 ? k / 16 : 0;
      out[32 * b + k] = weight(f, codes[k], scales.scale[half], scales.add[half]);
    }
  }
}

}  // namespace bantam::kernels
