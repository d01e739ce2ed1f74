// Encoders: error bounds, special values, and bits that must be the same on every machine.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <limits>
#include <map>

#include "quant/error.h"
#include "quant/floats.h"
#include "quant/inputs.h"
#include "quant/q4_0.h"
#include "quant/q4_k.h"
#include "quant/q8_0.h"
#include "tensor/bf16.h"

namespace bantam::quant {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Error over the source's own size on bell-shaped weights: what the searches reach, plus one percent. The plain
// textbook methods are 3 to 12 percent above.
TEST(Encode, ErrorOnBellShapedWeights) {
  const std::map<DType, double> limit = {
      {DType::kQ8_0, 0.00512}, {DType::kQ4_0, 0.07994}, {DType::kQ4_1, 0.06901},   {DType::kQ5_0, 0.03962},
      {DType::kQ5_1, 0.03368}, {DType::kQ2_K, 0.25877}, {DType::kQ3_K, 0.14301},   {DType::kQ4_K, 0.06928},
      {DType::kQ5_K, 0.03417}, {DType::kQ6_K, 0.01668}, {DType::kIQ4_NL, 0.07340}, {DType::kIQ4_XS, 0.07379},
      {DType::kBQ4, 0.07420},
  };
  for (const auto& [type, most] : limit) {
    const auto values = bell(11, 1 << 16, 0.02f);
    const double got = relative_error(values.data(), round_trip(type, values).data(), 1 << 16);
    EXPECT_LE(got, most) << name(type);
    EXPECT_GE(got, most * 0.9) << name(type) << ": the limit is no longer tight";
  }
}

// The textbook's codes at the textbook's f16 scale are among the candidates: no block may come out worse.
TEST(Encode, NoBlockIsWorseThanTheTextbook) {
  auto values = bell(12, 1 << 14, 1.0f);
  for (size_t i = 0; i < values.size(); i += 7) values[i] *= 9.0f;                       // heavy tails
  for (size_t i = 0; i < values.size() / 2; i += 64) std::fill_n(&values[i], 31, 0.0f);  // one value alone
  for (size_t i = values.size() / 2; i < values.size(); ++i) values[i] *= 3e-6f;         // subnormal scales
  for (const auto& [type, top] : {std::pair{DType::kQ4_0, -8.0f}, {DType::kQ5_0, -16.0f}, {DType::kQ8_0, 127.0f}}) {
    const auto ours = round_trip(type, values);
    for (size_t b = 0; b < values.size(); b += 32) {
      const float* x = &values[b];
      const float peak = *std::max_element(x, x + 32, [](float p, float q) { return std::abs(p) < std::abs(q); });
      const float d = f16_to_f32(f32_to_f16(peak / top));
      const float high = std::abs(top) - (top < 0 ? 1.0f : 0.0f);
      double textbook = 0;
      for (int i = 0; i < 32; ++i) {
        const float code = d == 0 ? 0 : std::clamp(std::nearbyint(x[i] / d), top < 0 ? top : -127.0f, high);
        textbook += std::pow(static_cast<double>(x[i] - d * code), 2);
      }
      EXPECT_LE(std::pow(rmse(x, &ours[b], 32), 2) * 32, textbook * (1 + 1e-5)) << name(type) << " block " << b / 32;
    }
  }
}

// What bq4 is for: fewer bits than q4_0 and iq4_nl and a smaller error, where blocks are bell-shaped and where they
// have tails.
TEST(Encode, Bq4BeatsTheOtherFourBitTypes) {
  static_assert(info(DType::kBQ4).block_bytes * 32 < info(DType::kQ4_0).block_bytes * 256);
  auto tails = bell(19, 1 << 15, 0.02f);
  for (size_t i = 0; i < tails.size(); i += 50) tails[i] *= 4.0f;
  for (const auto& values : {bell(19, 1 << 15, 0.02f), tails}) {
    const auto error = [&](DType type) {
      return relative_error(values.data(), round_trip(type, values).data(), static_cast<int64_t>(values.size()));
    };
    EXPECT_LT(error(DType::kBQ4), 0.93 * error(DType::kQ4_0));
    EXPECT_LT(error(DType::kBQ4), 1.01 * error(DType::kIQ4_XS));
  }
}

TEST(Encode, ZeroBlocksStayZero) {
  for (DType type : weight_types()) {
    for (float zero : {0.0f, -0.0f}) {
      for (float v : round_trip(type, std::vector<float>(512, zero))) ASSERT_EQ(v, 0.0f) << name(type);
    }
  }
}

TEST(Encode, OneValueAloneKeepsItselfAndItsNeighbours) {
  for (DType type : block_types()) {
    if (type == DType::kIQ4_NL || type == DType::kIQ4_XS) continue;  // zero is not in their code book
    for (float v : {0.7f, -0.7f}) {
      for (size_t at : {0u, 17u, 255u}) {
        std::vector<float> values(256, 0.0f);
        values[at] = v;
        const auto back = round_trip(type, values);
        EXPECT_NEAR(back[at], v, 0.001f) << name(type);
        for (size_t i = 0; i < 256; ++i) {
          if (i != at) {
            ASSERT_NEAR(back[i], 0.0f, 0.001f) << name(type) << " element " << i;
          }
        }
      }
    }
  }
}

TEST(Encode, ConstantBlocks) {
  for (DType type : block_types()) {
    for (float v : {0.3f, -0.3f}) {
      for (float back : round_trip(type, std::vector<float>(256, v))) ASSERT_NEAR(back, v, 0.002f) << name(type);
    }
  }
}

TEST(Encode, NanCountsAsZeroAndDoesNotSpread) {
  for (DType type : block_types()) {
    auto values = bell(13, 512, 0.02f);
    auto clean = values;
    for (size_t i : {3u, 77u, 300u}) {
      values[i] = i == 77 ? -kNan : kNan;
      clean[i] = 0.0f;
    }
    EXPECT_EQ(encoded(type, values), encoded(type, clean)) << name(type);
  }
}

TEST(Encode, HugeValuesSaturateAndNeverDecodeToInfinity) {
  for (DType type : block_types()) {
    auto values = bell(14, 512, 1.0f);
    for (size_t i = 0; i < 256; ++i) values[i] *= 1e30f;
    values[300] = kInf;
    values[301] = -kInf;
    values[302] = FLT_MAX;
    const auto back = round_trip(type, values);
    for (float v : back) ASSERT_TRUE(std::isfinite(v)) << name(type);
    EXPECT_GT(back[300], 60000.0f) << name(type);
    EXPECT_LT(back[301], -60000.0f) << name(type);
    EXPECT_EQ(back[300], back[302]) << name(type);
    // Large values take the right sign even where their size is out of reach.
    for (size_t i = 0; i < 256; ++i) {
      if (std::abs(values[i]) > 1e30f) {
        ASSERT_GT(back[i] * (values[i] > 0 ? 1.0f : -1.0f), 0.0f) << name(type);
      }
    }
  }
}

TEST(Encode, TinyValuesGiveZeroNotNoise) {
  for (DType type : block_types()) {
    for (float size : {1e-30f, 1e-40f, 1e-45f}) {
      auto values = bell(15, 512, 1.0f);
      for (float& v : values) v *= size;
      for (float v : round_trip(type, values)) ASSERT_EQ(v, 0.0f) << name(type);
    }
  }
}

// Where scales are f16 subnormals the formats still hold something: 2^-24 is the smallest step.
TEST(Encode, SubnormalScalesAreUsed) {
  const auto values = bell(16, 1 << 12, 1e-6f);
  for (DType type : block_types()) {
    EXPECT_LT(relative_error(values.data(), round_trip(type, values).data(), 1 << 12), 0.6) << name(type);
  }
}

TEST(Encode, PlainFloats) {
  const std::vector<float> in = {1.0f, -65519.0f, 65520.0f, -1e30f, kInf, -kInf, FLT_MAX, 0x1p-24f};
  EXPECT_EQ(round_trip(DType::kF16, in),
            (std::vector<float>{1.0f, -65504.0f, 65504.0f, -65504.0f, kInf, -kInf, 65504.0f, 0x1p-24f}));
  EXPECT_EQ(round_trip(DType::kBF16, in)[6], 0x1.FEp127f);  // not infinity
  EXPECT_EQ(round_trip(DType::kBF16, in)[5], -kInf);
  EXPECT_EQ(round_trip(DType::kF32, in), in);
  for (DType t : {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3}) {
    EXPECT_TRUE(std::isnan(round_trip(t, {kNan})[0])) << name(t);
  }
}

TEST(Encode, F8RoundsToNearestEvenAndSaturates) {
  for (int b = 0; b < 256; ++b) {
    if ((b & 0x7F) == 0x7F) continue;
    const auto code = static_cast<uint8_t>(b);
    EXPECT_EQ(f32_to_f8_e4m3(f8_e4m3_to_f32(code)), code);
    if ((b & 0x7F) == 0x7E) continue;
    const float low = f8_e4m3_to_f32(code), high = f8_e4m3_to_f32(static_cast<uint8_t>(b + 1));
    const float middle = (low + high) / 2;
    EXPECT_EQ(f32_to_f8_e4m3(middle), b % 2 == 0 ? code : code + 1);
    EXPECT_EQ(f32_to_f8_e4m3(std::nextafter(middle, low)), code);
    EXPECT_EQ(f32_to_f8_e4m3(std::nextafter(middle, high)), code + 1);
  }
  EXPECT_EQ(f32_to_f8_e4m3(460.0f), 0x7E);
  EXPECT_EQ(f32_to_f8_e4m3(-kInf), 0xFE);
}

// The same bytes on every CPU and compiler setting. A change here means every quantised file changes: regenerate the
// numbers only with a reason.
TEST(Encode, BytesAreFixed) {
  const std::map<DType, uint64_t> want = {
      {DType::kQ8_0, 4427903089638430029u},    {DType::kQ4_0, 17900664768439579607u},
      {DType::kQ4_1, 5147600289765288096u},    {DType::kQ5_0, 446610560452008436u},
      {DType::kQ5_1, 9695541238272427835u},    {DType::kQ2_K, 17052719971479745928u},
      {DType::kQ3_K, 6402564727148068052u},    {DType::kQ4_K, 6792959351806036237u},
      {DType::kQ5_K, 4749827503294268528u},    {DType::kQ6_K, 7019133998068044438u},
      {DType::kIQ4_NL, 13138687971417744943u}, {DType::kIQ4_XS, 6895089908069336762u},
      {DType::kBQ4, 9119173989247273436u},
  };
  auto values = bell(17, 1 << 14, 0.02f);
  for (size_t i = 0; i < values.size(); i += 97) values[i] *= 12.0f;
  for (size_t i = 4096; i < 6144; ++i) values[i] *= 0x1p-12f;
  for (size_t i = 6144; i < 8192; ++i) values[i] *= 0x1p14f;
  values[9000] = kNan;
  values[9300] = kInf;
  for (DType type : block_types()) {
    uint64_t hash = 14695981039346656037u;
    for (uint8_t b : encoded(type, values)) hash = (hash ^ b) * 1099511628211u;
    EXPECT_EQ(hash, want.count(type) != 0 ? want.at(type) : 0) << name(type);
  }
}

TEST(Encode, Q8KeepsClearOfMinus128) {
  const auto blocks = encoded(DType::kQ8_0, bell(18, 1 << 14, 1.0f));
  for (size_t i = 0; i < blocks.size(); i += sizeof(BlockQ8_0)) {
    for (size_t k = 2; k < sizeof(BlockQ8_0); ++k) ASSERT_NE(blocks[i + k], 0x80);
  }
}

TEST(ErrorMeter, MeasuresAndMerges) {
  const float a[4] = {3, -4, 0, kInf}, b[4] = {3, -2, 0, 1};
  ErrorMeter meter;
  meter.add(a, b, 4);
  EXPECT_EQ(meter.count(), 3);
  EXPECT_EQ(meter.bad(), 1);
  EXPECT_DOUBLE_EQ(meter.rmse(), std::sqrt(4.0 / 3));
  EXPECT_DOUBLE_EQ(meter.max_abs(), 2);
  EXPECT_DOUBLE_EQ(meter.relative(), std::sqrt(4.0 / 25));
  ErrorMeter first, second;
  first.add(a, b, 1);
  second.add(a + 1, b + 1, 3);
  first.merge(second);
  EXPECT_DOUBLE_EQ(first.rmse(), meter.rmse());
  EXPECT_EQ(first.bad(), 1);
  EXPECT_EQ(rmse(a, b, 0), 0.0);
}

}  // namespace
}  // namespace bantam::quant
