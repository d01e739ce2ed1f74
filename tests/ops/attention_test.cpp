// Attention against its definition in double, over shapes, page types and tables; attention maps likewise.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "attention_fixture.h"
#include "kernels/ref/rows.h"
#include "tensor/bf16.h"

namespace bantam::ops::test {
namespace {

using kernels::Segment;

struct Case {
  HeadShape heads;
  DType dtype;
  int64_t tokens;
  Numerics numerics = Numerics::kFast;
};

// 32 values as q8_0 or q4_0 pages keep them, said once more without the kernels.
void round_block(DType dtype, float* x) {
  float peak = 0;
  for (int i = 0; i < 32; ++i) peak = std::abs(x[i]) > std::abs(peak) ? x[i] : peak;
  const float scale = f16_to_f32(f32_to_f16(dtype == DType::kQ8_0 ? std::abs(peak) / 127.0f : peak / -8.0f));
  for (int i = 0; i < 32; ++i) {
    const float code = scale == 0 ? 0 : std::nearbyint(x[i] * (1.0f / scale));
    x[i] = scale * (dtype == DType::kQ8_0 ? std::clamp(code, -127.0f, 127.0f) : std::clamp(code, -8.0f, 7.0f));
  }
}

// A query as `fast` reads it over quantised pages: int8 per 32 dimensions.
void round_query(float* x) {
  float peak = 0;
  for (int i = 0; i < 32; ++i) peak = std::max(peak, std::abs(x[i]));
  for (int i = 0; i < 32; ++i) x[i] = peak == 0 ? 0 : std::nearbyint(x[i] * (127.0f / peak)) * (peak / 127.0f);
}

// Keys or values of one KV head over the first `count` tokens, rounded to the page type.
std::vector<float> rounded_head(const std::vector<float>& qkv, HeadShape h, DType dtype, bool values, int64_t kv_head,
                                int64_t count) {
  std::vector<float> out;
  const int64_t first = (h.q_heads + (values ? h.kv_heads : 0) + kv_head) * h.head_dim;
  for (int64_t t = 0; t < count; ++t) {
    for (int64_t d = 0; d < h.head_dim; ++d) {
      const float x = qkv[static_cast<size_t>(t * qkv_width(h) + first + d)];
      out.push_back(dtype == DType::kF16 ? f16_to_f32(f32_to_f16(x)) : x);
    }
  }
  for (size_t i = 0; kernels::kv_is_quant(dtype) && i < out.size(); i += 32) round_block(dtype, &out[i]);
  return out;
}

std::vector<double> definition(const std::vector<float>& qkv, const Case& c, double scale) {
  const HeadShape h = c.heads;
  std::vector<double> out(static_cast<size_t>(c.tokens * h.q_heads * h.head_dim));
  for (int64_t kv_head = 0; kv_head < h.kv_heads; ++kv_head) {
    const auto keys = rounded_head(qkv, h, c.dtype, false, kv_head, c.tokens);
    const auto values = rounded_head(qkv, h, c.dtype, true, kv_head, c.tokens);
    const int64_t group = h.q_heads / h.kv_heads;
    for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      for (int64_t t = 0; t < c.tokens; ++t) {
        const auto q = qkv.begin() + t * qkv_width(h) + head * h.head_dim;
        std::vector<float> query(q, q + h.head_dim);
        const bool coded = kernels::kv_is_quant(c.dtype) && c.numerics == Numerics::kFast;
        for (size_t i = 0; coded && i < query.size(); i += 32) round_query(&query[i]);
        kernels::ref::attention(query.data(), keys.data(), values.data(), t + 1, h.head_dim, scale,
                                &out[static_cast<size_t>((t * h.q_heads + head) * h.head_dim)]);
      }
    }
  }
  return out;
}

TEST(Attention, EveryTableMatchesTheDefinitionWithEqualBits) {
  const Case cases[] = {
      {{1, 1, 16}, DType::kF32, 1},
      {{2, 1, 32}, DType::kF16, 70},
      {{4, 2, 64}, DType::kF16, 130},
      {{3, 1, 80}, DType::kF16, 65},
      {{6, 2, 96}, DType::kF32, 100},
      {{8, 1, 128}, DType::kF16, 64},
      {{5, 1, 128}, DType::kF32, 67},
      {{4, 4, 128}, DType::kF16, 33},
      {{2, 1, 256}, DType::kF16, 40},
      {{13, 1, 32}, DType::kF16, 90},
      {{7, 7, 48}, DType::kF32, 9},
      {{64, 1, 16}, DType::kF16, 5},
      {{4, 2, 64}, DType::kQ8_0, 130},
      {{8, 1, 128}, DType::kQ8_0, 64},
      {{3, 1, 160}, DType::kQ8_0, 67},
      {{13, 1, 32}, DType::kQ8_0, 90},
      {{5, 1, 128}, DType::kQ4_0, 67},
      {{2, 1, 256}, DType::kQ4_0, 40},
      {{4, 4, 96}, DType::kQ4_0, 129},
      {{1, 1, 32}, DType::kQ4_0, 1},
      {{4, 2, 64}, DType::kQ8_0, 130, Numerics::kExact},
      {{5, 1, 96}, DType::kQ4_0, 67, Numerics::kExact},
  };
  for (const Case& c : cases) {
    for (float spread : {1.0f, 4.0f}) {  // nearly flat and sharply peaked softmax
      const auto qkv = random_floats(c.tokens * qkv_width(c.heads), 7 + c.tokens, spread);
      std::vector<float> first;
      for (const kernels::Table* table : kernels::available_tables()) {
        Machine machine(table, 2, c.tokens, c.heads, c.tokens, c.numerics);
        const Cache cache(c.heads, c.dtype, (c.tokens + 63) / 64, 3);
        const auto got = machine.sequence(qkv, c.tokens, cache, {c.tokens});
        if (first.empty()) first = got;
        EXPECT_TRUE(same_bits(first, got)) << table->name << " Dh " << c.heads.head_dim;
      }
      const auto want = definition(qkv, c, 1.0 / std::sqrt(static_cast<double>(c.heads.head_dim)));
      double worst = 0;
      for (size_t i = 0; i < want.size(); ++i) worst = std::max(worst, std::abs(first[i] - want[i]));
      // fp32 scores of magnitude spread^2 sqrt(Dh) carry their rounding into the exponent; probabilities as 16-bit
      // codes are off by half a step of 1 / 32767 times the largest value, in each of many slots.
      const bool coded = kernels::kv_is_quant(c.dtype) && c.numerics == Numerics::kFast;
      EXPECT_LE(worst, 2e-6 * spread * spread * spread + (coded ? 2e-4 * spread : 0))
          << "Dh " << c.heads.head_dim << " q " << c.heads.q_heads;
    }
  }
}

TEST(AttentionProbs, RowsSumToOneMatchTheDefinitionAndVanishAboveTheDiagonal) {
  const Case c{{4, 2, 32}, DType::kF16, 150};
  auto qkv = random_floats(c.tokens * qkv_width(c.heads), 5, 2.0f);
  Machine machine(kernels::available_tables().front(), 2, c.tokens, c.heads, c.tokens);
  const Cache cache(c.heads, c.dtype, 3, 4);
  const auto out = machine.sequence(qkv, c.tokens, cache, {100, 50});
  // The probabilities of the last 50 tokens, as a segment that starts at 100.
  std::vector<float> tail(qkv.begin() + 100 * qkv_width(c.heads), qkv.end());
  const Segment s{0, 50, -1, 100, 0};
  std::vector<float> probs(static_cast<size_t>(4 * 50 * 150), -1.0f);
  attention_probs(machine.context(), matrix(tail, 50), c.heads, cache.view(), 1, s, machine.scale(), probs.data());
  for (int64_t head = 0; head < 4; ++head) {
    const auto values = rounded_head(qkv, c.heads, c.dtype, true, head / 2, c.tokens);
    for (int64_t t = 0; t < 50; ++t) {
      const float* row = &probs[static_cast<size_t>((head * 50 + t) * 150)];
      double sum = 0, mixed = 0;
      for (int64_t pos = 0; pos < 150; ++pos) {
        if (pos > 100 + t) {
          EXPECT_EQ(row[pos], 0.0f);
        }
        sum += row[pos];
        mixed += double{row[pos]} * values[static_cast<size_t>(pos * 32 + 5)];
      }
      EXPECT_NEAR(sum, 1.0, 1e-6);
      EXPECT_NEAR(mixed, out[static_cast<size_t>(((100 + t) * 4 + head) * 32 + 5)], 2e-6);
    }
  }
}

// What quantised pages cost against f32 pages, as the relative 2-norm error of all outputs.
TEST(Attention, QuantisedPagesStayCloseToF32) {
  const HeadShape heads{8, 2, 128};
  constexpr int64_t kTok = 200;
  for (float spread : {1.0f, 3.0f}) {
    const auto qkv = random_floats(kTok * qkv_width(heads), 17, spread);
    const auto want = definition(qkv, {heads, DType::kF32, kTok}, 1.0 / std::sqrt(128.0));
    for (const KvMode& mode : kKvModes) {
      Machine machine(kernels::available_tables().front(), 2, kTok, heads, kTok, mode.numerics);
      const Cache cache(heads, mode.dtype, 4, 3);
      const auto got = machine.sequence(qkv, kTok, cache, {kTok});
      double error = 0, size = 0;
      for (size_t i = 0; i < want.size(); ++i) {
        error += (got[i] - want[i]) * (got[i] - want[i]);
        size += want[i] * want[i];
      }
      // About a third above what comes out (docs/numerics.md has the figures).
      const double bound = mode.dtype == DType::kF32    ? 1e-5
                           : mode.dtype == DType::kF16  ? 5e-4
                           : mode.dtype == DType::kQ8_0 ? 0.015
                                                        : 0.18;
      EXPECT_LE(std::sqrt(error / size), bound) << describe(mode) << " " << spread;
      RecordProperty(describe(mode) + (spread > 1 ? " peaked" : " flat"), std::to_string(std::sqrt(error / size)));
    }
  }
}

// One sharp score among faint ones whose sum matters: 16-bit codes relative to anything but each page's own maximum
// would lose them.
TEST(Attention, FaintPagesBesideASharpOneAreNotLost) {
  const HeadShape heads{1, 1, 32};
  constexpr int64_t kTok = 640;
  std::vector<float> qkv(static_cast<size_t>(kTok * 96), 0.0f);
  for (int64_t t = 0; t < kTok; ++t) {
    float* row = &qkv[static_cast<size_t>(t * 96)];
    row[0] = 127.0f * 0.125f;            // q: exactly coded
    row[32] = t == 3 ? 4.0f : 0.0f;      // k: score 11.2, e^11.2 = 74,000 times the others
    row[64 + 1] = t < 64 ? 0.0f : 1.0f;  // v: nothing from the page of the sharp one
  }
  Machine machine(kernels::available_tables().front(), 1, kTok, heads, kTok);
  const Cache cache(heads, DType::kQ8_0, 10, 1);
  const auto out = machine.sequence(qkv, kTok, cache, {kTok});
  const double sharp = std::exp(127.0 * 0.125 * 4.0 / std::sqrt(32.0)), want = (kTok - 64) / (sharp + kTok - 1);
  EXPECT_NEAR(out[static_cast<size_t>((kTok - 1) * 32 + 1)] / want, 1.0, 0.02);
}

TEST(Attention, ValuesThatAreNotFiniteShow) {
  const HeadShape heads{2, 1, 32};
  for (const KvMode& mode : kKvModes) {
    for (int64_t at : {64, 96}) {  // a key, a value
      auto qkv = random_floats(70 * qkv_width(heads), 3, 1.0f);
      qkv[static_cast<size_t>(5 * qkv_width(heads) + at + 7)] = std::numeric_limits<float>::quiet_NaN();
      for (const kernels::Table* table : kernels::available_tables()) {
        Machine machine(table, 1, 70, heads, 70, mode.numerics);
        const Cache cache(heads, mode.dtype, 2, 1);
        const auto out = machine.sequence(qkv, 70, cache, {70});
        for (int64_t i = 0; i < 5 * 64; ++i) EXPECT_TRUE(std::isfinite(out[static_cast<size_t>(i)]));
        EXPECT_TRUE(std::isnan(out[static_cast<size_t>(69 * 64 + 7)])) << table->name << " " << describe(mode);
      }
    }
  }
}

TEST(Attention, ALargeScoreNeitherOverflowsNorDividesByZero) {
  const HeadShape heads{1, 1, 16};
  auto qkv = random_floats(130 * qkv_width(heads), 9, 1.0f);
  for (int64_t t = 0; t < 130; ++t) {
    for (int64_t d = 0; d < 16; ++d) {
      qkv[static_cast<size_t>(t * 48 + d)] = 100.0f;                                                    // q
      qkv[static_cast<size_t>(t * 48 + 16 + d)] = t % 3 == 0 ? -900.0f : 0.5f * static_cast<float>(t);  // k
    }
  }
  Machine machine(kernels::available_tables().front(), 1, 130, heads, 130);
  const Cache cache(heads, DType::kF32, 3, 1);
  for (float x : machine.sequence(qkv, 130, cache, {130})) EXPECT_TRUE(std::isfinite(x));
}

}  // namespace
}  // namespace bantam::ops::test
