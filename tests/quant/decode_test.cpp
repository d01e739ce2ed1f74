// Decoders against the reference's floats (golden/*.bin, made by tools/oracles/make_quant_golden.py) and the packed
// scales against their bit pictures.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <string>

#include "quant/bq4.h"
#include "quant/fifth_bits.h"
#include "quant/inputs.h"
#include "quant/iq4_xs.h"
#include "quant/q3_k.h"
#include "quant/q4_k.h"

namespace bantam::quant {
namespace {

class Golden : public testing::TestWithParam<DType> {};

TEST_P(Golden, DecodesToTheReferencesBits) {
  const DTypeInfo& t = info(GetParam());
  std::ifstream in(std::string(BANTAM_SOURCE_DIR) + "/tests/quant/golden/" + std::string(t.name) + ".bin",
                   std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  const size_t per_block = static_cast<size_t>(t.block_bytes + 4 * t.block_elems);
  ASSERT_FALSE(bytes.empty());
  ASSERT_EQ(bytes.size() % per_block, 0u);
  const size_t blocks = bytes.size() / per_block, n = blocks * static_cast<size_t>(t.block_elems);
  const size_t data = blocks * static_cast<size_t>(t.block_bytes);
  // One byte off any alignment: blocks inside a mapped file promise none.
  std::vector<uint8_t> shifted(data + 1);
  std::memcpy(shifted.data() + 1, bytes.data(), data);
  std::vector<float> ours(n), want(n);
  std::memcpy(want.data(), bytes.data() + data, n * 4);
  find_format(GetParam())->decode(shifted.data() + 1, ours.data(), static_cast<int64_t>(n));
  for (size_t i = 0; i < n; ++i) {
    if (std::isnan(want[i])) {
      ASSERT_TRUE(std::isnan(ours[i])) << "element " << i;
    } else {
      ASSERT_EQ(std::bit_cast<uint32_t>(ours[i]), std::bit_cast<uint32_t>(want[i])) << "element " << i;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Types, Golden,
                         testing::Values(DType::kF16, DType::kBF16, DType::kF8E4M3, DType::kQ8_0, DType::kQ4_0,
                                         DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ2_K, DType::kQ3_K,
                                         DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kIQ4_NL, DType::kIQ4_XS),
                         [](const auto& param) { return std::string(name(param.param)); });

TEST(FormatTable, RowsAreFoundByBothNumbers) {
  for (DType t : weight_types()) {
    const Format* f = find_format(t);
    ASSERT_NE(f->decode, nullptr);
    ASSERT_NE(f->encode, nullptr);
    if (t != DType::kF8E4M3) {
      EXPECT_EQ(find_format_by_gguf(f->gguf_type), f);
    }
  }
  EXPECT_EQ(find_format(DType::kI32), nullptr);
  EXPECT_EQ(find_format_by_gguf(-1), nullptr);
  EXPECT_EQ(find_format_by_gguf(10)->dtype, DType::kQ2_K);
  EXPECT_EQ(find_format_by_gguf(30)->dtype, DType::kBF16);
  EXPECT_EQ(find_format_by_gguf(9), nullptr);  // Q8_1, an activation format
}

// The picture in q4_k.h, read bit by bit: one letter's bits are set, one number must light up.
TEST(PackedScales, K4FollowsItsPicture) {
  const char* picture[12] = {"EEAAAAAA", "FFBBBBBB", "GGCCCCCC", "HHDDDDDD", "eeaaaaaa", "ffbbbbbb",
                             "ggcccccc", "hhdddddd", "eeeeEEEE", "ffffFFFF", "ggggGGGG", "hhhhHHHH"};
  for (int letter = 0; letter < 16; ++letter) {
    const char c = static_cast<char>(letter < 8 ? 'A' + letter : 'a' + letter - 8);
    uint8_t packed[12] = {};
    for (int byte = 0; byte < 12; ++byte) {
      for (int bit = 0; bit < 8; ++bit) {
        if (picture[byte][7 - bit] == c) packed[byte] = static_cast<uint8_t>(packed[byte] | 1 << bit);
      }
    }
    uint8_t scale[8], min[8];
    unpack_scales_k4(packed, scale, min);
    for (int j = 0; j < 8; ++j) {
      EXPECT_EQ(scale[j], letter == j ? 63 : 0);
      EXPECT_EQ(min[j], letter == j + 8 ? 63 : 0);
    }
  }
}

TEST(PackedScales, PackAndUnpackAreInverse) {
  Philox rng(5);
  for (int round = 0; round < 200; ++round) {
    uint8_t scale[8], min[8], packed[12], scale2[8], min2[8], low[4], low6[6];
    int8_t signed16[16], again16[16];
    uint16_t high;
    for (int j = 0; j < 8; ++j) {
      scale[j] = static_cast<uint8_t>(rng.below(64));
      min[j] = static_cast<uint8_t>(rng.below(64));
    }
    for (int8_t& s : signed16) s = static_cast<int8_t>(static_cast<int>(rng.below(64)) - 32);
    pack_scales_k4(scale, min, packed);
    unpack_scales_k4(packed, scale2, min2);
    EXPECT_EQ(std::memcmp(scale, scale2, 8), 0);
    EXPECT_EQ(std::memcmp(min, min2, 8), 0);
    pack_scales_q3_k(signed16, packed);
    unpack_scales_q3_k(packed, again16);
    EXPECT_EQ(std::memcmp(signed16, again16, 16), 0);
    pack_scales_iq4_xs(signed16, &high, low);
    unpack_scales_iq4_xs(high, low, again16);
    EXPECT_EQ(std::memcmp(signed16, again16, 8), 0);
    pack_scales_bq4(signed16, low6);
    unpack_scales_bq4(low6, again16);
    EXPECT_EQ(std::memcmp(signed16, again16, 8), 0);
  }
}

// No other program knows bq4: the picture in docs/formats/bq4.md, written down once more by hand.
TEST(Bq4, FollowsItsPicture) {
  uint8_t block[136] = {};
  block[0] = 0x00, block[1] = 0x38;                   // d = 0.5
  block[2] = 0x1F, block[3] = 0xF8, block[4] = 0x07;  // scales 0..3: 31, -32, -1, 1 (from the low bits up)
  block[5] = 0x02, block[6] = 0x00, block[7] = 0x80;  // scales 4..7: 2, 0, 0, -32
  block[8] = 0xF0;                                    // sub-block 0: element 0 is code 0, element 16 code 15
  block[8 + 16] = 0x08;                               // sub-block 1: element 0 is code 8, element 16 code 0
  block[8 + 7 * 16 + 15] = 0x7F;                      // sub-block 7: element 15 is code 15, element 31 code 7
  float v[256];
  decode_bq4(block, v, 256);
  EXPECT_EQ(v[0], 0.5f * 31 * -36);
  EXPECT_EQ(v[16], 0.5f * 31 * 27);
  EXPECT_EQ(v[32], 0.0f);
  EXPECT_EQ(v[48], 0.5f * -32 * -36);
  EXPECT_EQ(v[64], 0.5f * -1 * -36);
  EXPECT_EQ(v[96], 0.5f * 1 * -36);
  EXPECT_EQ(v[128], 0.5f * 2 * -36);
  EXPECT_EQ(v[160], 0.0f);
  EXPECT_EQ(v[224 + 15], 0.5f * -32 * 27);
  EXPECT_EQ(v[224 + 31], 0.5f * -32 * -3);
}

TEST(PackedCodes, FiveBits) {
  float codes[32];
  uint8_t qh[4], qs[16], back[32];
  for (int i = 0; i < 32; ++i) codes[i] = static_cast<float>((i * 7) % 32 - 16);
  pack_codes5(codes, 16, qh, qs);
  unpack_codes5(qh, qs, back);
  for (int i = 0; i < 32; ++i) EXPECT_EQ(back[i], (i * 7) % 32);
}

}  // namespace
}  // namespace bantam::quant
