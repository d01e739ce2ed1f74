#include "kernels/packed.h"

#include <gtest/gtest.h>

#include "kernels/linear_cases.h"
#include "quant/format.h"

namespace bantam::kernels {
namespace {

class Packed : public ::testing::TestWithParam<DType> {};

// Every element of every row comes back with the bits that quant decodes, whatever the block's bytes are: a wrong
// plane, nibble order, sub-scale or rounding step shows here.
TEST_P(Packed, UnpackEqualsDecodeBitForBit) {
  const DType dtype = GetParam();
  for (const int64_t cols : {32, 96, 256, 768, 33}) {
    if (!packable(dtype, cols)) continue;
    for (const int64_t rows : {1, 15, 16, 40}) {
      for (const bool wild : {false, true}) {
        const TestMatrix m = make_matrix(dtype, rows, cols, 2 * static_cast<uint64_t>(rows + cols), wild);
        std::vector<float> expected(static_cast<size_t>(cols)), got(static_cast<size_t>(cols));
        for (int64_t r = 0; r < rows; ++r) {
          quant::find_format(dtype)->decode(m.source.data() + r * row_bytes(dtype, cols), expected.data(), cols);
          unpack_row(m.packed, r, got.data());
          ASSERT_TRUE(same_bits(expected.data(), got.data(), expected.size()))
              << name(dtype) << " row " << r << " of [" << rows << ", " << cols << "] wild " << wild;
        }
      }
    }
  }
}

TEST_P(Packed, CostsLittleMoreThanTheFile) {
  const DType dtype = GetParam();
  for (const int64_t cols : {1024, 2560, 9728, 25600}) {
    const double file = static_cast<double>(4096 * row_bytes(dtype, cols));
    EXPECT_LE(static_cast<double>(packed_bytes(dtype, 4096, cols)), file * 1.029) << name(dtype) << " K " << cols;
  }
  EXPECT_EQ(tile_bytes(dtype, 2560) % 64, 0);
}

TEST_P(Packed, DisjointRangesPackTheSameBytes) {
  const DType dtype = GetParam();
  const TestMatrix m = make_matrix(dtype, 70, 512, 7);
  std::vector<std::byte> out(static_cast<size_t>(packed_bytes(dtype, 70, 512)), std::byte{0xAA});
  for (const auto& [begin, end] : {std::pair{3, 5}, std::pair{0, 1}, std::pair{1, 3}}) {
    pack_tiles(dtype, m.source.data(), 70, 512, begin, end, out.data());
  }
  EXPECT_EQ(std::memcmp(out.data(), m.packed.data, out.size()), 0);
}

INSTANTIATE_TEST_SUITE_P(Types, Packed, ::testing::ValuesIn(packable_types()),
                         [](const auto& p) { return std::string(name(p.param)); });

TEST(PackedTypes, F8RowsCarryTheirBlockScale) {
  const TestMatrix m = make_matrix(DType::kF8E4M3, 130, 300, 1);
  std::vector<float> plain(300), got(300);
  for (const int64_t row : {0, 127, 128, 129}) {
    quant::find_format(DType::kF8E4M3)->decode(m.source.data() + row * 300, plain.data(), 300);
    for (size_t k = 0; k < 300; ++k) plain[k] *= m.f8_scales[static_cast<size_t>(row / 128) * 3 + k / 128];
    unpack_row(m.packed, row, got.data());
    EXPECT_TRUE(same_bits(plain.data(), got.data(), 300)) << row;
  }
}

TEST(PackedTypes, RejectsPartBlocksAndIndexTypes) {
  EXPECT_FALSE(packable(DType::kQ4_0, 48));
  EXPECT_FALSE(packable(DType::kQ4_K, 128));
  EXPECT_FALSE(packable(DType::kI32, 64));
  EXPECT_FALSE(packable(DType::kF32, 0));
  EXPECT_TRUE(packable(DType::kBF16, 1));
}

}  // namespace
}  // namespace bantam::kernels
