// Row kernels: every table against kernels/ref within a budget, and all tables bit for bit equal, over one case list
// with odd sizes and tails; exp, sin and cos swept over their ranges.
#include "kernels/ref/rows.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/rng.h"
#include "kernels/kv_codes.h"
#include "kernels/row_kernels.h"
#include "kernels/table.h"
#include "tensor/bf16.h"

namespace bantam::kernels {
namespace {

std::vector<float> random_floats(int64_t n, uint64_t seed, float scale = 1.0f) {
  Philox rng(seed);
  std::vector<float> v(static_cast<size_t>(n));
  for (float& x : v) x = (rng.uniform() + rng.uniform() + rng.uniform() + rng.uniform() - 2.0f) * scale;
  return v;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Worst |a - b| relative to |b|, where |b| counts as at least `floor`.
double worst_relative(const std::vector<float>& a, const std::vector<double>& b, double floor) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, std::abs(a[i] - b[i]) / std::max(std::abs(b[i]), floor));
  return worst;
}

// Distance of `got` from the real number `want` in units of the last place of fp32 at `want`.
double ulps(float got, double want) {
  if (std::isinf(got)) return want > 0x1.ffffffp127 ? 0 : 1e9;
  int exponent = 0;
  std::frexp(want, &exponent);
  const double unit = std::ldexp(1.0, std::max(exponent - 24, -149));
  return std::abs(got - want) / unit;
}

// Runs `kernel(table rows)` on every table and expects equal bits; returns the result.
template <class F>
std::vector<float> on_all_tables(F kernel) {
  std::vector<float> first;
  for (const Table* table : available_tables()) {
    const std::vector<float> got = kernel(table->rows);
    if (first.empty()) first = got;
    EXPECT_TRUE(same_bits(first, got)) << table->name << " differs from " << available_tables().front()->name;
  }
  return first;
}

TEST(Tables, GenericIsLastAndNamesAreFound) {
  const auto tables = available_tables();
  ASSERT_FALSE(tables.empty());
  EXPECT_EQ(tables.back()->name, "generic");
  for (const Table* t : tables) {
    const auto found = find_table(t->name);
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(found.value(), t);
  }
  EXPECT_EQ(find_table("").value(), tables.front());
  const auto missing = find_table("sse9");
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(missing.status().message().find("generic"), std::string_view::npos);
}

TEST(RmsNorm, AllTablesAgreeAndMatchTheDefinition) {
  for (int64_t n : {1, 7, 15, 16, 17, 33, 80, 100, 1024, 2560, 4095}) {
    for (float scale : {1e-4f, 1.0f, 300.0f}) {
      const int64_t rows = 3;
      const auto x = random_floats(rows * n, 1 + n, scale), w = random_floats(n, 2 + n);
      const auto got = on_all_tables([&](const RowKernels& k) {
        std::vector<float> out = x;
        k.rms_norm(out.data(), w.data(), 1e-6f, rows, n, out.data());  // in place
        return out;
      });
      std::vector<double> want(got.size());
      for (int64_t r = 0; r < rows; ++r) ref::rms_norm(&x[r * n], w.data(), double{1e-6f}, n, &want[r * n]);
      EXPECT_LE(worst_relative(got, want, 1e-30), 4e-7) << n << " " << scale;
    }
  }
}

TEST(QkNormRope, AllTablesAgreeAndMatchTheDefinition) {
  struct Case {
    int64_t q, kv, dh;
    bool norm;
  };
  for (const Case c : {Case{2, 1, 16, true},
                       {4, 2, 32, true},
                       {3, 1, 48, false},
                       {8, 1, 64, true},
                       {2, 2, 80, true},
                       {5, 1, 96, false},
                       {4, 2, 128, true},
                       {1, 1, 256, true}}) {
    const int64_t width = (c.q + 2 * c.kv) * c.dh;
    const auto x = random_floats(width, 11), qw = random_floats(c.dh, 12), kw = random_floats(c.dh, 13);
    const auto cos_sin = random_floats(c.dh, 14);
    const float* q_norm = c.norm ? qw.data() : nullptr;
    const float* k_norm = c.norm ? kw.data() : nullptr;
    const auto got = on_all_tables([&](const RowKernels& k) {
      std::vector<float> out(x.size());
      k.qk_norm_rope(x.data(), q_norm, k_norm, c.q, c.kv, c.dh, 1e-6f, cos_sin.data(), out.data());
      std::vector<float> in_place = x;
      k.qk_norm_rope(in_place.data(), q_norm, k_norm, c.q, c.kv, c.dh, 1e-6f, cos_sin.data(), in_place.data());
      EXPECT_TRUE(same_bits(out, in_place));
      return out;
    });
    std::vector<double> want(x.begin(), x.end());  // v heads stay
    for (int64_t h = 0; h < c.q + c.kv; ++h) {
      ref::norm_rotate(&x[h * c.dh], h < c.q ? q_norm : k_norm, double{1e-6f}, c.dh, cos_sin.data(), &want[h * c.dh]);
    }
    EXPECT_LE(worst_relative(got, want, 0.1), 1e-6) << c.dh;
    for (int64_t i = (c.q + c.kv) * c.dh; i < width; ++i) EXPECT_EQ(got[i], x[i]);
  }
}

TEST(Swiglu, AllTablesAgreeAndMatchTheDefinition) {
  for (int64_t n : {1, 15, 16, 31, 100, 3072}) {
    for (float scale : {0.01f, 3.0f, 60.0f}) {
      const auto gate = random_floats(n, 21, scale), up = random_floats(n, 22);
      const auto got = on_all_tables([&](const RowKernels& k) {
        std::vector<float> out(gate.size());
        k.swiglu(gate.data(), up.data(), n, out.data());
        return out;
      });
      std::vector<double> want(got.size());
      ref::swiglu(gate.data(), up.data(), n, want.data());
      // Below gate = -88.7 the fp32 exponential is infinite and the product 0, as in torch.
      EXPECT_LE(worst_relative(got, want, 1e-29), 5e-7) << n << " " << scale;
    }
  }
}

TEST(Exp, WithinOneUlpFromUnderflowToOverflow) {
  std::vector<float> x;
  for (double v = -106; v < 90; v += 0.00137) x.push_back(static_cast<float>(v));
  Philox rng(31);
  for (int i = 0; i < 200000; ++i) {  // every exponent, both signs
    const float v = std::bit_cast<float>(rng.next());
    if (std::abs(v) < 110.0f) x.push_back(v);
  }
  for (float edge : {0.0f, -0.0f, 88.72283f, 88.72284f, -87.33654f, -87.33655f, -103.97207f, -103.97208f, -103.98f}) {
    x.push_back(edge);
  }
  const auto got = on_all_tables([&](const RowKernels& k) {
    std::vector<float> out(x.size());
    k.exp_shifted(x.data(), 0.0f, static_cast<int64_t>(x.size()), out.data());
    return out;
  });
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, ulps(got[i], std::exp(double{x[i]})));
  EXPECT_LE(worst, 1.0);
  RecordProperty("worst_ulps", std::to_string(worst));
}

TEST(Exp, Specials) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {0.0f, -kInf, kInf, -200.0f, 200.0f, 5.0f, std::numeric_limits<float>::quiet_NaN()};
  for (const Table* table : available_tables()) {
    std::vector<float> y(x.size());
    table->rows.exp_shifted(x.data(), 0.0f, 7, y.data());
    EXPECT_EQ(y[0], 1.0f);
    EXPECT_EQ(y[1], 0.0f);
    EXPECT_EQ(y[2], kInf);
    EXPECT_EQ(y[3], 0.0f);
    EXPECT_EQ(y[4], kInf);
    EXPECT_TRUE(std::isnan(y[6])) << table->name;
    table->rows.exp_shifted(x.data() + 5, 5.0f, 1, y.data());
    EXPECT_EQ(y[0], 1.0f);
  }
}

TEST(SinCos, RoundedOnceFromDouble) {
  Philox rng(41);
  int64_t unequal = 0, total = 0;
  double worst = 0;
  const auto check = [&](float angle) {
    float s = 0, c = 0;
    sin_cos(angle, &s, &c);
    const double exact_s = std::sin(double{angle}), exact_c = std::cos(double{angle});
    worst = std::max({worst, ulps(s, exact_s), ulps(c, exact_c)});
    unequal += s != static_cast<float>(exact_s);
    unequal += c != static_cast<float>(exact_c);
    total += 2;
  };
  for (float edge :
       {0.0f, 0.7853981f, 0.7853982f, 1.5707963f, 1.5707964f, 3.1415927f, 6.2831855f, 262143.0f, 1048575.0f}) {
    check(edge);
    check(-edge);
  }
  for (int i = 0; i < 262144; i += 7) check(static_cast<float>(i));  // the fastest pair: angle = position
  for (int i = 0; i < 200000; ++i) {
    check(rng.uniform() * 1048575.0f);
    check(rng.uniform() * std::ldexp(1.0f, -static_cast<int>(rng.below(30))));
  }
  // The floats nearest to multiples of pi/2 are where the reduction can lose everything.
  for (int n = 1; n < 200000; n += 3) check(static_cast<float>(n * 1.5707963267948966));
  EXPECT_LE(worst, 0.501);
  EXPECT_LE(unequal, total / 100000);
}

// FNV-1a over the bits: what every CPU must produce.
uint64_t hash_bits(const std::vector<float>& v) {
  uint64_t h = 0xCBF29CE484222325u;
  for (float f : v) h = (h ^ std::bit_cast<uint32_t>(f)) * 0x100000001B3u;
  return h;
}

TEST(Golden, BitsOfExpSinAndCosOnEveryCpu) {
  std::vector<float> x(20000), sines(x.size()), cosines(x.size());
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) * 0x1.4p-7f - 104.0f;  // exact
  const auto e = on_all_tables([&](const RowKernels& k) {
    std::vector<float> out(x.size());
    k.exp_shifted(x.data(), 0.0f, static_cast<int64_t>(x.size()), out.data());
    return out;
  });
  for (size_t i = 0; i < x.size(); ++i) sin_cos(x[i] * 1001.0f, &sines[i], &cosines[i]);
  EXPECT_EQ(hash_bits(e), 87296504165429457u);
  EXPECT_EQ(hash_bits(sines), 6261515605007644335u);
  EXPECT_EQ(hash_bits(cosines), 5718616647772458020u);
}

// Reads element d of the key or value in `slot` of one head's run.
float stored(const std::vector<std::byte>& head, DType dtype, int64_t dh, bool value, int64_t slot, int64_t d) {
  const int64_t index = value ? dh * kPageTok + slot * dh + d : d * kPageTok + slot;
  if (dtype == DType::kF32) {
    float f = 0;
    std::memcpy(&f, head.data() + index * 4, 4);
    return f;
  }
  uint16_t h = 0;
  std::memcpy(&h, head.data() + index * 2, 2);
  return f16_to_f32(h);
}

TEST(KvStore, LayoutRoundingAndUntouchedSlots) {
  for (DType dtype : {DType::kF16, DType::kF32}) {
    for (int64_t dh : {16, 80, 128}) {
      for (const auto& [first, n] : {std::pair<int64_t, int64_t>{0, 64}, {63, 1}, {5, 37}}) {
        const int64_t stride = 2 * dh + 3;
        auto kv = random_floats(n * stride + 2 * dh, 51, 100.0f);
        kv[0] = 1e-7f, kv[1] = 65519.0f, kv[2] = -5.9604645e-8f, kv[3] = 0.33325195f,
        kv[4] = 2.9802322e-8f;  // f16 edges
        std::vector<std::vector<std::byte>> pages;
        for (const Table* table : available_tables()) {
          std::vector<std::byte>& head =
              pages.emplace_back(static_cast<size_t>(row_bytes(dtype, 2 * kPageTok * dh)), std::byte{0x2A});
          table->rows.kv_store(kv.data(), kv.data() + dh, stride, n, first, dh, dtype, head.data());
          EXPECT_EQ(pages[0], head) << table->name;
        }
        const float untouched =
            stored(std::vector<std::byte>(pages[0].size(), std::byte{0x2A}), dtype, dh, false, 0, 0);
        for (int64_t slot = 0; slot < kPageTok; ++slot) {
          const bool written = slot >= first && slot < first + n;
          for (int64_t i = 0; i < 2 * dh; ++i) {
            const float source = written ? kv[static_cast<size_t>((slot - first) * stride + i)] : untouched;
            const float want = !written || dtype == DType::kF32 ? source : f16_to_f32(f32_to_f16(source));
            ASSERT_EQ(stored(pages[0], dtype, dh, i >= dh, slot, i % dh), want) << slot << " " << i;
          }
        }
      }
    }
  }
}

// Quantised pages: equal bytes from every table, each value within its step, and no bit of another token touched.
TEST(KvStore, CodesStayWithinTheirStepAndTouchOnlyTheirToken) {
  for (const DType dtype : {DType::kQ8_0, DType::kQ4_0}) {
    for (const int64_t dh : {32, 160}) {
      for (const auto& [first, n] : {std::pair<int64_t, int64_t>{0, 64}, {63, 1}, {5, 38}}) {
        const int64_t stride = 2 * dh + 3;
        auto kv = random_floats(n * stride + 2 * dh, 61, 100.0f);
        std::fill(kv.begin(), kv.begin() + 32, 0.0f);  // an empty block
        kv[static_cast<size_t>(dh)] = -3e4f;           // one value beside which its block vanishes
        const std::vector<std::byte> before(static_cast<size_t>(row_bytes(dtype, 2 * kPageTok * dh)), std::byte{0x2A});
        std::vector<std::byte> page;
        for (const Table* table : available_tables()) {
          std::vector<std::byte> head = before;
          table->rows.kv_store(kv.data(), kv.data() + dh, stride, n, first, dh, dtype, head.data());
          if (page.empty()) page = head;
          EXPECT_EQ(page, head) << table->name;
        }
        std::vector<float> keys(static_cast<size_t>(kPageTok * dh)), values(keys.size());
        kv_decode(dtype, dh, page.data(), keys.data(), values.data());
        for (int64_t slot = 0; slot < kPageTok; ++slot) {
          for (int64_t i = 0; i < 2 * dh; ++i) {
            const int64_t d = i % dh;
            const auto read = [&](const std::vector<std::byte>& head) {
              return i < dh ? kv_key(dtype, dh, head.data(), slot, d) : kv_value(dtype, dh, head.data(), slot, d);
            };
            const float got = read(page);
            ASSERT_EQ(got, i < dh ? keys[static_cast<size_t>(d * kPageTok + slot)]
                                  : values[static_cast<size_t>(slot * dh + d)]);
            if (slot < first || slot >= first + n) {
              ASSERT_EQ(got, read(before)) << slot << " " << i;
              continue;
            }
            const float* block = &kv[static_cast<size_t>((slot - first) * stride + i / 32 * 32)];
            float peak = 0;
            for (int j = 0; j < 32; ++j) peak = std::max(peak, std::abs(block[j]));
            // Half a step; q4_0 has no code for the opposite of its largest value: a whole step there.
            const float step = dtype == DType::kQ8_0 ? 0.505f * peak / 127 : 1.01f * peak / 8;
            ASSERT_LE(std::abs(got - block[i % 32]), step) << slot << " " << i;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace bantam::kernels
