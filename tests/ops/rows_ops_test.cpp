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
  // Wide rows are cut (swiglu at 4096 columns), narrow ones share a chunk; each row alone must give the same.
  for (const auto& [rows, f] : {std::pair<int64_t, int64_t>{3, 9001}, {700, 40}, {1, 4097}}) {
    auto gate_up = random_floats(rows * 2 * f, 5, 4.0f);
    const auto w = random_floats(2 * f, 6);
    std::vector<float> first_act, first_norm;
    for (int threads : {1, 3}) {
      Machine machine(best(), threads, rows, {1, 1, 16}, 8);
      std::vector<float> act(static_cast<size_t>(rows * f)), norm(gate_up.size());
      swiglu(machine.context(), matrix(gate_up, rows), matrix(act, rows));
      rms_norm(machine.context(), matrix(gate_up, rows), w.data(), 1e-6f, matrix(norm, rows));
      if (first_act.empty()) {
        first_act = act;
        first_norm = norm;
      }
      EXPECT_TRUE(same_bits(first_act, act));
      EXPECT_TRUE(same_bits(first_norm, norm));
    }
    for (int64_t r = 0; r < rows; ++r) {
      std::vector<float> act(static_cast<size_t>(f)), norm(static_cast<size_t>(2 * f));
      const float* row = gate_up.data() + r * 2 * f;
      best()->rows.swiglu(row, row + f, f, act.data());
      best()->rows.rms_norm(row, w.data(), 1e-6f, 1, 2 * f, norm.data());
      EXPECT_TRUE(same_bits(act, {first_act.begin() + r * f, first_act.begin() + (r + 1) * f}));
      EXPECT_TRUE(same_bits(norm, {first_norm.begin() + r * 2 * f, first_norm.begin() + (r + 1) * 2 * f}));
    }
  }
}

TEST(RowOps, QkNormRopeTakesEachTokensOwnAngles) {
  const HeadShape heads{3, 1, 32};
  auto qkv = random_floats(50 * qkv_width(heads), 7), cos_sin = random_floats(50 * 32, 8);
  const auto w = random_floats(32, 9);
  Machine machine(best(), 3, 50, heads, 50);
  std::vector<float> out(qkv.size());
  qk_norm_rope(machine.context(), matrix(qkv, 50), w.data(), w.data(), heads, 1e-6f, matrix(cos_sin, 50),
               matrix(out, 50));
  for (int64_t t = 0; t < 50; ++t) {
    std::vector<float> one(static_cast<size_t>(qkv_width(heads)));
    best()->rows.qk_norm_rope(&qkv[static_cast<size_t>(t * qkv_width(heads))], w.data(), w.data(), 3, 1, 32, 1e-6f,
                              &cos_sin[static_cast<size_t>(t * 32)], one.data());
    EXPECT_TRUE(same_bits(one, {out.begin() + t * qkv_width(heads), out.begin() + (t + 1) * qkv_width(heads)}));
  }
}

}  // namespace
}  // namespace bantam::ops::test
