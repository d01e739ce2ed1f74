// Attention against its definition in double, over shapes, page types and tables; attention maps likewise.
#include <gtest/gtest.h>

#include <cmath>

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
};

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
        kernels::ref::attention(&qkv[static_cast<size_t>(t * qkv_width(h) + head * h.head_dim)], keys.data(),
                                values.data(), t + 1, h.head_dim, scale,
                                &out[static_cast<size_t>((t * h.q_heads + head) * h.head_dim)]);
      }
    }
  }
  return out;
}

TEST(Attention, EveryTableMatchesTheDefinitionWithEqualBits) {
  const Case cases[] = {
      {{1, 1, 16}, DType::kF32, 1},   {{2, 1, 32}, DType::kF16, 70},  {{4, 2, 64}, DType::kF16, 130},
      {{3, 1, 80}, DType::kF16, 65},  {{6, 2, 96}, DType::kF32, 100}, {{8, 1, 128}, DType::kF16, 64},
      {{5, 1, 128}, DType::kF32, 67}, {{4, 4, 128}, DType::kF16, 33}, {{2, 1, 256}, DType::kF16, 40},
      {{13, 1, 32}, DType::kF16, 90}, {{7, 7, 48}, DType::kF32, 9},   {{64, 1, 16}, DType::kF16, 5},
  };
  for (const Case& c : cases) {
    for (float spread : {1.0f, 4.0f}) {  // nearly flat and sharply peaked softmax
      const auto qkv = random_floats(c.tokens * qkv_width(c.heads), 7 + c.tokens, spread);
      std::vector<float> first;
      for (const kernels::Table* table : kernels::available_tables()) {
        Machine machine(table, 2, c.tokens, c.heads, c.tokens);
        const Cache cache(c.heads, c.dtype, (c.tokens + 63) / 64, 3);
        const auto got = machine.sequence(qkv, c.tokens, cache, {c.tokens});
        if (first.empty()) first = got;
        EXPECT_TRUE(same_bits(first, got)) << table->name << " Dh " << c.heads.head_dim;
      }
      const auto want = definition(qkv, c, 1.0 / std::sqrt(static_cast<double>(c.heads.head_dim)));
      double worst = 0;
      for (size_t i = 0; i < want.size(); ++i) worst = std::max(worst, std::abs(first[i] - want[i]));
      // fp32 scores of magnitude spread^2 sqrt(Dh) carry their rounding into the exponent.
      EXPECT_LE(worst, 2e-6 * spread * spread * spread) << "Dh " << c.heads.head_dim << " q " << c.heads.q_heads;
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
