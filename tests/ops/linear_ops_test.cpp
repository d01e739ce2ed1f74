// ops::linear, its fused forms, linear_add and embed: parts side by side, mixed types, threads, aliasing. The kernels
// have their own test.
#include <gtest/gtest.h>

#include "kernels/linear_cases.h"
#include "ops/ops.h"
#include "quant/format.h"

namespace bantam::ops {
namespace {

using kernels::make_matrix;
using kernels::random_floats;
using kernels::same_bits;
using kernels::TestMatrix;

constexpr int64_t kMostTok = 1100;

struct Machine {
  ThreadPool pool;
  Storage scratch;
  Context ctx;
  Machine(int threads, Numerics numerics, std::string_view table = "") : pool(threads) {
    const int64_t bytes = scratch_bytes(kMostTok, 1024, 1024, {1, 1, 32}, 1, threads);
    scratch = Storage::allocate(bytes).value();
    ctx = {.table = kernels::find_table(table).value(),
           .pool = &pool,
           .numerics = numerics,
           .scratch = scratch.data(),
           .scratch_bytes = bytes};
  }
};

TensorView view(std::vector<float>& v, int64_t rows, int64_t cols) {
  return {v.data(), DType::kF32, Shape{rows, cols}};
}

std::vector<float> run(Machine& machine, std::span<const Linear* const> parts, std::vector<float>& x, int64_t m) {
  int64_t columns = 0;
  for (const Linear* p : parts) columns += p->weight.rows;
  std::vector<float> out(static_cast<size_t>(m * columns), -1.0f);
  linear(machine.ctx, parts, view(x, m, static_cast<int64_t>(x.size()) / m), view(out, m, columns));
  return out;
}

// Q, K and V of different types, sizes and with biases, as in a Q4_K_M file: the same bits as each alone, for any
// number of threads.
TEST(LinearOps, PartsSideBySideEqualEachAlone) {
  const TestMatrix q = make_matrix(DType::kQ4_K, 96, 512, 2), k = make_matrix(DType::kQ6_K, 40, 512, 2),
                   v = make_matrix(DType::kBF16, 33, 512, 2);
  Philox rng(1);
  const std::vector<float> bias = random_floats(rng, 40);
  const Linear lq{q.packed}, lk{k.packed, bias.data()}, lv{v.packed};
  const std::vector<const Linear*> all = {&lq, &lk, &lv};
  for (const Numerics numerics : {Numerics::kFast, Numerics::kExact}) {
    Machine one(1, numerics), three(3, numerics);
    for (const int64_t m : {1, 3, 9, 64}) {
      std::vector<float> x = random_floats(rng, m * 512);
      const std::vector<float> together = run(three, all, x, m);
      size_t column = 0;
      for (const Linear* part : all) {
        const std::vector<float> alone = run(one, std::span(&part, 1), x, m);
        const size_t n = static_cast<size_t>(part->weight.rows);
        for (size_t i = 0; i < static_cast<size_t>(m); ++i) {
          ASSERT_TRUE(same_bits(&together[i * 169 + column], &alone[i * n], n)) << "M " << m << " column " << column;
        }
        column += n;
      }
    }
  }
}

TEST(LinearOps, ModesDifferOnlyForQuantisedWeights) {
  const TestMatrix w8 = make_matrix(DType::kQ8_0, 64, 256, 4), f8 = make_matrix(DType::kF8E4M3, 64, 256, 4);
  const Linear l8{w8.packed}, lf{f8.packed};
  Philox rng(2);
  std::vector<float> x = random_floats(rng, 256);
  Machine fast(2, Numerics::kFast), exact(2, Numerics::kExact);
  const Linear* part = &l8;
  const std::vector<float> a = run(fast, std::span(&part, 1), x, 1), b = run(exact, std::span(&part, 1), x, 1);
  EXPECT_FALSE(same_bits(a.data(), b.data(), a.size()));
  part = &lf;
  const std::vector<float> c = run(fast, std::span(&part, 1), x, 1), d = run(exact, std::span(&part, 1), x, 1);
  EXPECT_TRUE(same_bits(c.data(), d.data(), c.size()));
}

TEST(LinearOps, AddMayWriteOverItsResidual) {
  const TestMatrix w = make_matrix(DType::kQ4_0, 50, 320, 6);
  const Linear l{w.packed};
  Philox rng(3);
  Machine machine(2, Numerics::kFast);
  for (const int64_t m : {1, 20}) {
    std::vector<float> x = random_floats(rng, m * 320), residual = random_floats(rng, m * 50), apart(residual.size());
    linear_add(machine.ctx, l, view(x, m, 320), view(residual, m, 50), view(apart, m, 50));
    const Linear* part = &l;
    const std::vector<float> plain = run(machine, std::span(&part, 1), x, m);
    for (size_t i = 0; i < plain.size(); ++i) ASSERT_EQ(apart[i], residual[i] + plain[i]);
    linear_add(machine.ctx, l, view(x, m, 320), view(residual, m, 50), view(residual, m, 50));
    EXPECT_TRUE(same_bits(residual.data(), apart.data(), apart.size()));
  }
}

// Activations made on the way are those of the kernels alone, and the products those of linear: whatever M, threads,
// mode and table, so whether pieces are whole rows, tiles of tokens or columns.
TEST(LinearOps, ActivationsMadeOnTheWay) {
  constexpr int64_t kDim = 960, kOut = 48;
  const TestMatrix q4 = make_matrix(DType::kQ4_0, 32, kDim, 2), q8 = make_matrix(DType::kQ8_0, kOut, kDim, 2);
  const Linear first{q4.packed}, second{q8.packed};
  const std::vector<const Linear*> parts = {&first, &second};
  Philox rng(4);
  const std::vector<float> w = random_floats(rng, kDim);
  for (const kernels::Table* table : kernels::available_tables()) {
    for (const int64_t m : {1, 8, 9, 17, 64}) {
      for (const auto& [threads, numerics] :
           {std::pair{1, Numerics::kFast}, {3, Numerics::kFast}, {3, Numerics::kExact}}) {
        Machine machine(threads, numerics, table->name);
        std::vector<float> x = random_floats(rng, m * kDim), h(x.size(), -1.0f), norm(x.size());
        table->rows.rms_norm(x.data(), w.data(), 1e-6f, m, kDim, norm.data());
        std::vector<float> got(static_cast<size_t>(m * (32 + kOut)));
        norm_linear(machine.ctx, view(x, m, kDim), w.data(), 1e-6f, view(h, m, kDim), parts, view(got, m, 32 + kOut));
        ASSERT_TRUE(same_bits(h.data(), norm.data(), h.size())) << table->name << " M " << m;
        ASSERT_TRUE(same_bits(got.data(), run(machine, parts, norm, m).data(), got.size()))
            << table->name << " M " << m;
      }
    }
  }
}

// The MLP's bits are those of its parts one after another, kept or not: for every way it is cut (M from one token to
// panels of a single pair of tiles), for a last tile that is not full, and for mixed types.
TEST(LinearOps, MlpEqualsItsParts) {
  constexpr int64_t kDim = 256, kOut = 48;
  Philox rng(5);
  const std::vector<float> norm = random_floats(rng, kDim);
  struct Case {
    DType gate, up, down;
    int64_t width;
    bool biased;
  };
  const std::vector<Case> cases = {{DType::kQ4_0, DType::kQ4_0, DType::kQ8_0, 960, false},
                                   {DType::kQ4_K, DType::kQ6_K, DType::kQ6_K, 256, false},
                                   {DType::kBF16, DType::kQ8_0, DType::kBF16, 1000, true}};
  for (const kernels::Table* table : kernels::available_tables()) {
    for (const Case& c : cases) {
      const TestMatrix gate = make_matrix(c.gate, c.width, kDim, 1), up = make_matrix(c.up, c.width, kDim, 2),
                       down = make_matrix(c.down, kOut, c.width, 3);
      const std::vector<float> bias = random_floats(rng, c.width);
      const Linear g{gate.packed, c.biased ? bias.data() : nullptr}, u{up.packed}, d{down.packed};
      const std::vector<const Linear*> first = {&g, &u};
      for (const int64_t m : {1, 9, 70, 1100}) {
        if (m > 70 && table->name == "generic") continue;  // seconds
        std::vector<float> x = random_floats(rng, m * kDim), h(x.size());
        std::vector<float> residual = random_floats(rng, m * kOut), want(residual.size());
        for (const auto& [threads, numerics] :
             {std::pair{1, Numerics::kFast}, {3, Numerics::kFast}, {3, Numerics::kExact}}) {
          Machine machine(threads, numerics, table->name);
          table->rows.rms_norm(x.data(), norm.data(), 1e-6f, m, kDim, h.data());
          const std::vector<float> products = run(machine, first, h, m);
          std::vector<float> silu(static_cast<size_t>(m * c.width));
          for (int64_t t = 0; t < m; ++t) {
            const float* row = products.data() + t * 2 * c.width;
            table->rows.swiglu(row, row + c.width, c.width, silu.data() + t * c.width);
          }
          linear_add(machine.ctx, d, view(silu, m, c.width), view(residual, m, kOut), view(want, m, kOut));

          std::vector<float> act(silu.size()), sum(want.size()), kept(products.size()), normed(h.size());
          const TensorView nowhere{nullptr, DType::kF32, Shape{m, 2 * c.width}};
          for (const TensorView gate_up : {nowhere, view(kept, m, 2 * c.width)}) {
            sum = residual;  // in place, as the residual stream is
            mlp(machine.ctx, view(x, m, kDim), norm.data(), 1e-6f, view(normed, m, kDim), {g, u, d}, gate_up,
                view(act, m, c.width), view(sum, m, kOut), view(sum, m, kOut));
            ASSERT_TRUE(same_bits(sum.data(), want.data(), sum.size()))
                << table->name << " M " << m << " F " << c.width << " threads " << threads;
            ASSERT_TRUE(same_bits(normed.data(), h.data(), h.size()));
          }
          ASSERT_TRUE(same_bits(kept.data(), products.data(), kept.size())) << table->name << " M " << m;
        }
      }
    }
  }
}

TEST(LinearOps, NoTokensIsNoWork) {
  const TestMatrix w = make_matrix(DType::kQ4_0, 16, 32, 6);
  const Linear l{w.packed};
  Machine machine(1, Numerics::kFast);
  linear(machine.ctx, l, {nullptr, DType::kF32, Shape{0, 32}}, {nullptr, DType::kF32, Shape{0, 16}});
}

TEST(LinearOps, EmbedIsTheDecodedRow) {
  Machine machine(2, Numerics::kFast);
  for (const DType dtype : kernels::packable_types()) {
    const TestMatrix e = make_matrix(dtype, 70, 256, 8);
    const std::vector<int32_t> tokens = {69, 0, 17, 17};
    std::vector<float> x(4 * 256), expected(256);
    embed(machine.ctx, e.packed, tokens, view(x, 4, 256));
    for (size_t t = 0; t < 4; ++t) {
      quant::find_format(dtype)->decode(e.source.data() + tokens[t] * row_bytes(dtype, 256), expected.data(), 256);
      EXPECT_TRUE(same_bits(&x[t * 256], expected.data(), 256)) << name(dtype);
    }
  }
}

}  // namespace
}  // namespace bantam::ops
