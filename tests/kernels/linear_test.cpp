// One case list over every packable type, both modes and every table of this machine.
#include "kernels/ref/linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/cpu_features.h"
#include "kernels/linear_cases.h"
#include "kernels/linear_kernels.h"
#include "kernels/table.h"

namespace bantam::kernels {
namespace {

struct Activations {
  int64_t m, cols;
  std::vector<float> x;
  std::vector<ActBlock> q;
};

Activations make_activations(const Table& table, int64_t m, int64_t cols, std::vector<float> x) {
  Activations a{m, cols, std::move(x), {}};
  if (cols % kBlock == 0) {
    a.q.resize(static_cast<size_t>(m * act_stride(cols)));
    table.linear.quantize_rows(a.x.data(), cols, cols, 0, m, a.q.data(), act_stride(cols));
  }
  return a;
}

struct Extras {
  std::vector<float> bias, residual;
};

// Runs the first m rows with tiles split at `split`; the result has an untouched column on either side of it.
std::vector<float> run(const Table& table, const TestMatrix& w, const Activations& a, int64_t m, bool fast,
                       const Extras& extras = {}, int64_t split = 0, int64_t first_row = 0) {
  const int64_t rows = w.packed.rows, stride = rows + 2;
  std::vector<float> out(static_cast<size_t>(m * stride), -7.0f);
  auto scratch = Storage::allocate(kLinearScratchBytes);
  std::memset(scratch.value().data(), 0xFF, kLinearScratchBytes);
  LinearJob job{.weight = w.packed,
                .m = m,
                .x = a.x.data() + first_row * a.cols,
                .x_stride = a.cols,
                .q = a.q.data() + (a.q.empty() ? 0 : first_row * act_stride(a.cols)),
                .q_stride = act_stride(a.cols),
                .out = out.data() + 1,
                .out_stride = stride};
  std::vector<ActTile> tiles;
  if (fast && table.linear.tiled != nullptr && table.linear.tiled(w.packed.dtype, m)) {
    const int64_t count = (m + kTileTokens - 1) / kTileTokens;
    tiles.resize(static_cast<size_t>(count * act_stride(a.cols)));
    std::memset(tiles.data(), 0xFF, tiles.size() * sizeof tiles[0]);
    table.linear.quantize_tiles(job.x, a.cols, a.cols, m, 0, count, tiles.data(), act_stride(a.cols));
    job.tiles = tiles.data();
    job.tiles_stride = act_stride(a.cols);
    job.q = nullptr;
  }
  if (!extras.bias.empty()) job.bias = extras.bias.data();
  if (!extras.residual.empty()) {
    job.residual = extras.residual.data();
    job.residual_stride = rows;
  }
  const auto kernel = fast ? table.linear.fast : table.linear.exact;
  if (split > 0) kernel(job, 0, split, scratch.value().data());
  kernel(job, split, tile_count(rows), scratch.value().data());
  std::vector<float> dense;
  for (int64_t i = 0; i < m; ++i) {
    const float* row = out.data() + i * stride;
    EXPECT_TRUE(row[0] == -7.0f && row[rows + 1] == -7.0f) << "wrote outside its columns";
    dense.insert(dense.end(), row + 1, row + 1 + rows);
  }
  return dense;
}

struct Shape2 {
  int64_t rows, cols, m;
};
const Shape2 kShapes[] = {{1, 32, 1},     {15, 64, 2},    {17, 96, 3},     {33, 256, 5},    {48, 288, 6},
                          {16, 1, 4},     {31, 77, 7},    {64, 512, 8},    {33, 768, 9},    {100, 256, 16},
                          {33, 2560, 33}, {40, 1056, 13}, {289, 1280, 10}, {33, 1280, 100}, {48, 352, 81}};

class LinearTest : public ::testing::TestWithParam<DType> {
 protected:
  std::vector<bool> modes() const { return has_fast(GetParam()) ? std::vector{true, false} : std::vector{false}; }
  const Table& generic() const { return *available_tables().back(); }
};

class IntegerLinearTest : public LinearTest {};

TEST_P(LinearTest, TablesAgreeBitForBit) {
  for (const auto& [rows, cols, m] : kShapes) {
    if (!packable(GetParam(), cols)) continue;
    Philox rng(static_cast<uint64_t>(rows * 7 + cols));
    const TestMatrix w = make_matrix(GetParam(), rows, cols, static_cast<uint64_t>(rows + m));
    const Activations a = make_activations(generic(), m, cols, random_floats(rng, m * cols, 3.0f));
    for (const bool fast : modes()) {
      const std::vector<float> expected = run(generic(), w, a, m, fast);
      for (const Table* table : available_tables()) {
        const std::vector<float> got = run(*table, w, a, m, fast);
        ASSERT_TRUE(same_bits(expected.data(), got.data(), got.size()))
            << table->name << (fast ? " fast" : " exact") << " [" << rows << ", " << cols << "] M " << m;
      }
    }
  }
}

// The tests here run the tables of this machine: says aloud when tiles are not among them.
TEST(AmxTable, IsHereAndFirst) {
  if (!cpu_features().amx_int8) GTEST_SKIP() << "no AMX-INT8 here: the amx table is untested";
  EXPECT_EQ(available_tables().front()->name, "amx");
}

// Prefill sizes around the edges of token tiles, runs of blocks and pairs of tiles.
TEST_P(IntegerLinearTest, ManyRowsAgreeWithGeneric) {
  for (const auto& [rows, cols, m] : {Shape2{48, 288, 65}, {17, 256, 80}, {64, 1280, 47}, {33, 768, 127}}) {
    if (!packable(GetParam(), cols)) continue;
    Philox rng(static_cast<uint64_t>(rows + cols));
    const TestMatrix w = make_matrix(GetParam(), rows, cols, static_cast<uint64_t>(rows + m));
    const Activations a = make_activations(generic(), m, cols, random_floats(rng, m * cols, 3.0f));
    const std::vector<float> expected = run(generic(), w, a, m, true);
    for (const Table* table : available_tables()) {
      const std::vector<float> got = run(*table, w, a, m, true);
      ASSERT_TRUE(same_bits(expected.data(), got.data(), got.size()))
          << table->name << " [" << rows << ", " << cols << "] M " << m;
    }
  }
}

// Rows so long that a vector table has no room for every token's sums beside one another.
TEST(LongRows, AgreeWithGeneric) {
  const int64_t rows = 18, cols = 321 * 256, m = 8;
  static_assert(cols / kBlock * 2 * m * 4 > kLinearScratchBytes);
  const Table& generic = *available_tables().back();
  Philox rng(11);
  const TestMatrix w = make_matrix(DType::kQ6_K, rows, cols, 11);
  const Activations a = make_activations(generic, m, cols, random_floats(rng, m * cols));
  const Extras extras{.bias = {}, .residual = random_floats(rng, m * rows)};
  const std::vector<float> expected = run(generic, w, a, m, true, extras);
  for (const Table* table : available_tables()) {
    const std::vector<float> got = run(*table, w, a, m, true, extras);
    EXPECT_TRUE(same_bits(expected.data(), got.data(), got.size())) << table->name;
  }
}

// The result for a row must not depend on its company, nor on how tiles are dealt out.
TEST_P(LinearTest, RowsAndTilesAreIndependent) {
  const int64_t rows = 81, cols = 768, most = 40;
  Philox rng(5);
  const TestMatrix w = make_matrix(GetParam(), rows, cols, 5);
  for (const Table* table : available_tables()) {
    if (table == &generic()) continue;  // equal to the others by TablesAgreeBitForBit
    const Activations a = make_activations(*table, most, cols, random_floats(rng, most * cols));
    for (const bool fast : modes()) {
      std::vector<float> solo;
      for (int64_t i = 0; i < most; ++i) {
        const std::vector<float> one = run(*table, w, a, 1, fast, {}, 0, i);
        solo.insert(solo.end(), one.begin(), one.end());
      }
      for (const int64_t m : {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 17, 33, 40}) {
        const std::vector<float> together = run(*table, w, a, m, fast, {}, m % 3 * 2);
        ASSERT_TRUE(same_bits(solo.data(), together.data(), together.size()))
            << table->name << (fast ? " fast" : " exact") << " M " << m;
      }
    }
  }
}

TEST_P(LinearTest, MoreTokensThanOnePassHolds) {
  const int64_t rows = 20, cols = 256, m = kLinearTokens + 70;
  Philox rng(6);
  const TestMatrix w = make_matrix(GetParam(), rows, cols, 6);
  const Table& best = *available_tables().front();
  const Activations a = make_activations(best, m, cols, random_floats(rng, m * cols));
  for (const bool fast : modes()) {
    const std::vector<float> all = run(best, w, a, m, fast), tail = run(best, w, a, 70, fast, {}, 0, kLinearTokens);
    EXPECT_TRUE(same_bits(all.data() + kLinearTokens * rows, tail.data(), tail.size()));
  }
}

TEST_P(LinearTest, BiasThenResidual) {
  const int64_t rows = 37, cols = 256;
  Philox rng(9);
  const TestMatrix w = make_matrix(GetParam(), rows, cols, 9);
  const Extras extras{random_floats(rng, rows), random_floats(rng, 8 * rows)};
  for (const Table* table : available_tables()) {
    const Activations a = make_activations(*table, 8, cols, random_floats(rng, 8 * cols));
    for (const bool fast : modes()) {
      for (const int64_t m : {1, 8}) {
        const std::vector<float> plain = run(*table, w, a, m, fast), full = run(*table, w, a, m, fast, extras);
        for (size_t i = 0; i < plain.size(); ++i) {
          const float expected = extras.residual[i] + (plain[i] + extras.bias[i % static_cast<size_t>(rows)]);
          ASSERT_EQ(expected, full[i]) << table->name << " element " << i << " M " << m;
        }
      }
    }
  }
}

// Against double sums over quant's decoding. exact: rounding of 32-long chains and of block sums; the bound is a few
// times what random signs give. fast: int8 activations move each product by at most half a step of its block.
TEST_P(LinearTest, NearTheDoubleReference) {
  const int64_t rows = 50, cols = 2560, m = 3;
  Philox rng(11);
  const TestMatrix w = make_matrix(GetParam(), rows, cols, 11);
  const Table& best = *available_tables().front();
  const Activations a = make_activations(best, m, cols, random_floats(rng, m * cols));
  std::vector<double> truth(static_cast<size_t>(m * rows)), magnitude(truth.size());
  ref::linear(GetParam(), w.source.data(), w.packed.f8_scales, rows, cols, a.x.data(), m, truth.data(),
              magnitude.data());
  for (const bool fast : modes()) {
    const std::vector<float> got = run(best, w, a, m, fast);
    double error = 0, size = 0, worst = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      const double difference = std::fabs(static_cast<double>(got[i]) - truth[i]);
      error += difference * difference;
      size += truth[i] * truth[i];
      worst = std::max(worst, difference / magnitude[i]);
    }
    EXPECT_LE(std::sqrt(error / size), fast ? 0.02 : 1e-6) << "mode " << fast;
    EXPECT_LE(worst, fast ? 0.5 / 127 : 2e-7) << "mode " << fast;
  }
}

TEST_P(LinearTest, NonFiniteAndExtremeValuesAgreeToo) {
  const int64_t rows = 32, cols = 512, m = 16;
  Philox rng(13);
  std::vector<float> x = random_floats(rng, m * cols);
  x[3] = std::numeric_limits<float>::quiet_NaN();
  x[cols + 40] = std::numeric_limits<float>::infinity();
  for (int64_t k = 64; k < 96; ++k) x[static_cast<size_t>(2 * cols + k)] *= 1e-42f;
  for (int64_t k = 0; k < cols; ++k) x[static_cast<size_t>(3 * cols + k)] = k % 32 == 5 ? -127.0f : 0.5f;
  for (int64_t k = 0; k < cols; ++k) x[static_cast<size_t>(4 * cols + k)] = k % 2 ? 3e38f : -3e38f;
  for (int64_t k = 0; k < cols; ++k) x[static_cast<size_t>(5 * cols + k)] = 0.0f;
  for (const bool wild : {false, true}) {
    const TestMatrix w = make_matrix(GetParam(), rows, cols, 14, wild);
    for (const bool fast : modes()) {
      const std::vector<float> expected = run(generic(), w, make_activations(generic(), m, cols, x), m, fast);
      EXPECT_TRUE(std::isnan(expected[0]));
      for (const Table* table : available_tables()) {
        const Activations a = make_activations(*table, m, cols, x);
        for (const int64_t rows_of_x : {int64_t{1}, int64_t{7}, m}) {
          const std::vector<float> got = run(*table, w, a, rows_of_x, fast);
          ASSERT_TRUE(same_bits(expected.data(), got.data(), got.size())) << table->name << " fast " << fast;
        }
      }
    }
  }
}

// Extremes of every code against extremes of activations: int16 or int32 overflow anywhere in a vector path shows.
TEST_P(IntegerLinearTest, ExtremeCodesDoNotOverflow) {
  const int64_t rows = 16, cols = 512, m = 16;
  for (const int fill : {0x00, 0xFF, 0x80, 0x7F, 0xF0, 0x0F}) {
    TestMatrix w = make_matrix(GetParam(), rows, cols, 15);
    std::vector<uint8_t> filled(w.source.size(), static_cast<uint8_t>(fill));
    for (size_t at = 0; at < filled.size(); at += static_cast<size_t>(info(GetParam()).block_bytes)) {
      for (const int place : scale_places(GetParam())) {
        std::memcpy(&filled[at + static_cast<size_t>(place)], &w.source[at + static_cast<size_t>(place)], 2);
      }
    }
    pack_tiles(GetParam(), filled.data(), rows, cols, 0, 1, w.storage.data());
    for (const float sign : {1.0f, -1.0f}) {
      const std::vector<float> x(static_cast<size_t>(m * cols), sign);
      const Activations a = make_activations(generic(), m, cols, x);
      const std::vector<float> expected = run(generic(), w, a, m, true);
      for (const Table* table : available_tables()) {
        for (const int64_t rows_of_x : {int64_t{1}, int64_t{7}, m}) {
          const std::vector<float> got = run(*table, w, a, rows_of_x, true);
          ASSERT_TRUE(same_bits(expected.data(), got.data(), got.size())) << table->name << " fill " << fill;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, LinearTest, ::testing::ValuesIn(packable_types()),
                         [](const auto& p) { return std::string(name(p.param)); });
INSTANTIATE_TEST_SUITE_P(Types, IntegerLinearTest, ::testing::ValuesIn(quantised_types()),
                         [](const auto& p) { return std::string(name(p.param)); });

TEST(QuantizeRows, TablesAgreeAndBlocksAreRight) {
  const int64_t cols = 320, m = 9;
  Philox rng(3);
  std::vector<float> x = random_floats(rng, m * cols, 50.0f);
  for (int64_t k = 32; k < 64; ++k) x[static_cast<size_t>(k)] = 0.0f;
  x[70] = std::numeric_limits<float>::infinity();
  x[100] = std::numeric_limits<float>::quiet_NaN();
  for (int64_t k = 128; k < 160; ++k) x[static_cast<size_t>(k)] *= 1e-41f;
  for (int64_t k = 160; k < 192; ++k) x[static_cast<size_t>(k)] = static_cast<float>(k - 176) + 0.5f;  // ties
  x[191] = 127.0f;
  const Activations expected = make_activations(*available_tables().back(), m, cols, x);
  for (const Table* table : available_tables()) {
    const Activations got = make_activations(*table, m, cols, x);
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t b = 0; b < cols / kBlock; ++b) {
        const ActBlock &e = expected.q[static_cast<size_t>(i * act_stride(cols) + b)],
                       &g = got.q[static_cast<size_t>(i * act_stride(cols) + b)];
        ASSERT_EQ(std::memcmp(e.q, g.q, sizeof e.q), 0) << table->name << " row " << i << " block " << b;
        ASSERT_TRUE(same_bits(&e.d, &g.d, 1) && e.sum[0] == g.sum[0] && e.sum[1] == g.sum[1]) << table->name;
      }
    }
  }
  EXPECT_EQ(expected.q[1].d, 0.0f);          // all zero
  EXPECT_TRUE(std::isnan(expected.q[2].d));  // infinity
  EXPECT_TRUE(std::isnan(expected.q[3].d));  // NaN
  EXPECT_EQ(expected.q[4].d, 0.0f);          // far below what a scale can hold
  const ActBlock& ties = expected.q[5];      // d = 1: halves round to even
  EXPECT_EQ(ties.d, 1.0f);
  EXPECT_EQ(ties.q[0], -16);
  EXPECT_EQ(ties.q[1], -14);
  EXPECT_EQ(ties.q[31], 127);
  int sum = 0;
  for (int k = 0; k < 16; ++k) sum += ties.q[k];
  EXPECT_EQ(ties.sum[0], sum);
}

}  // namespace
}  // namespace bantam::kernels
