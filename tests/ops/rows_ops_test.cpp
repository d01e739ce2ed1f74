// The row-wise ops: what they add to the kernels, that is indexing, cutting into chunks, and the angle's rounding.
#include <gtest/gtest.h>

#include <cmath>

#include "attention_fixture.h"
#include "tensor/storage.h"

namespace bantam::ops::test {
namespace {

const kernels::Table* best() {
  return kernels::available_tables().front();
}

TEST(RowOps, EmbedAndGatherTakeTheNamedRows) {
  constexpr int64_t kRows = 37, kCols = 96;
  auto weights = random_floats(kRows * kCols, 1);
  auto packed = Storage::allocate(kernels::packed_bytes(DType::kF32, kRows, kCols));
  ASSERT_TRUE(packed.ok());
  kernels::pack_tiles(DType::kF32, weights.data(), kRows, kCols, 0, kernels::tile_count(kRows), packed.value().data());
  const kernels::PackedMatrix embedding{DType::kF32, kRows, kCols, packed.value().data(), nullptr};
  Machine machine(best(), 2, 8, {1, 1, 16}, 8);
  const std::vector<int32_t> ids = {36, 0, 5, 5, 17};
  std::vector<float> x(5 * kCols), picked(5 * kCols);
  embed(machine.context(), embedding, ids, matrix(x, 5));
  gather_rows(machine.context(), matrix(weights, kRows), ids, matrix(picked, 5));
  for (size_t t = 0; t < ids.size(); ++t) {
    const std::vector<float> want(weights.begin() + ids[t] * kCols, weights.begin() + (ids[t] + 1) * kCols);
    EXPECT_TRUE(same_bits(
        want, {x.begin() + static_cast<int64_t>(t) * kCols, x.begin() + static_cast<int64_t>(t + 1) * kCols}));
    EXPECT_TRUE(same_bits(want, {picked.begin() + static_cast<int64_t>(t) * kCols,
                                 picked.begin() + static_cast<int64_t>(t + 1) * kCols}));
  }
}

TEST(RowOps, RopeAnglesAreFp32ProductsAndTheFactorComesLast) {
  std::vector<float> inv_freq;
  for (int i = 0; i < 32; ++i) inv_freq.push_back(static_cast<float>(std::pow(5e6, -i / 32.0)));
  const std::vector<int32_t> positions = {0, 1, 2, 4095, 131071, 262143, 7};
  std::vector<float> got(positions.size() * 64);
  Machine machine(best(), 2, 8, {1, 1, 16}, 8);
  rope_table(machine.context(), positions, inv_freq, 1.25f, matrix(got, std::ssize(positions)));
  for (size_t t = 0; t < positions.size(); ++t) {
    for (size_t i = 0; i < 32; ++i) {
      const float angle = static_cast<float>(positions[t]) * inv_freq[i];  // in double this is 0.016 rad off at 262143
      EXPECT_EQ(got[t * 64 + i], static_cast<float>(std::cos(double{angle})) * 1.25f) << positions[t] << " " << i;
      EXPECT_EQ(got[t * 64 + 32 + i], static_cast<float>(std::sin(double{angle})) * 1.25f) << positions[t] << " " << i;
    }
  }
}

TEST(RowOps, ChunksAndThreadsDoNotChangeBits) {
  for (const auto& [rows, n] : {std::pair<int64_t, int64_t>{3, 18002}, {700, 80}, {1, 8194}}) {
    auto x = random_floats(rows * n, 5, 4.0f);
    const auto w = random_floats(n, 6);
    std::vector<float> first;
    for (int threads : {1, 3}) {
      Machine machine(best(), threads, rows, {1, 1, 16}, 8);
      std::vector<float> norm(x.size());
      rms_norm(machine.context(), matrix(x, rows), w.data(), 1e-6f, matrix(norm, rows));
      if (first.empty()) first = norm;
      EXPECT_TRUE(same_bits(first, norm));
    }
    for (int64_t r = 0; r < rows; ++r) {
      std::vector<float> norm(static_cast<size_t>(n));
      best()->rows.rms_norm(x.data() + r * n, w.data(), 1e-6f, 1, n, norm.data());
      EXPECT_TRUE(same_bits(norm, {first.begin() + r * n, first.begin() + (r + 1) * n}));
    }
  }
}

// Two segments, the second one over a page's end in the middle of its page: every token gets its own angles, and the
// pages get what kv_store puts there.
TEST(RowOps, RopeStoreIsRotationAndStore) {
  const HeadShape heads{3, 1, 32};
  constexpr int64_t kTok = 110;
  const kernels::Segment segments[] = {{0, 37, -1, 50, 0}, {37, 73, -1, 0, 2}};
  const auto w = random_floats(32, 9);
  auto cos_sin = random_floats(kTok * 32, 8), qkv = random_floats(kTok * qkv_width(heads), 7), want = qkv;
  for (int64_t t = 0; t < kTok; ++t) {
    float* row = want.data() + t * qkv_width(heads);
    best()->rows.qk_norm_rope(row, w.data(), w.data(), 3, 1, 32, 1e-6f, &cos_sin[static_cast<size_t>(t * 32)], row);
  }
  for (const DType dtype : {DType::kF16, DType::kF32, DType::kQ8_0, DType::kQ4_0}) {
    Machine machine(best(), 3, kTok, heads, 128);
    Cache apart(heads, dtype, 4, 1), fused(heads, dtype, 4, 1);
    std::vector<float> out(qkv.size());
    kv_store(machine.context(), matrix(want, kTok), heads, apart.view(), 1, segments);
    rope_store(machine.context(), matrix(qkv, kTok), {w.data(), w.data(), 1e-6f}, heads, matrix(cos_sin, kTok),
               fused.view(), 1, segments, matrix(out, kTok));
    EXPECT_TRUE(same_bits(out, want));
    const auto bytes = static_cast<size_t>(2 * 4 * apart.view().layout.page_bytes());
    EXPECT_EQ(std::memcmp(apart.view().base, fused.view().base, bytes), 0) << name(dtype);
  }
}

}  // namespace
}  // namespace bantam::ops::test
