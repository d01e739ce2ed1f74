// Promise 3 at its hardest place: attention's bits do not depend on how a sequence is cut into steps, on threads, on
// what shares the batch, on forks, on what page slots held before, or on the caller's float mode.
#include <gtest/gtest.h>

#include <string>

#include "attention_fixture.h"
#include "kernels/linear_cases.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bantam::ops::test {
namespace {

using kernels::Segment;

std::vector<float> rows_of(const std::vector<float>& m, int64_t width, int64_t begin, int64_t end) {
  return {m.begin() + begin * width, m.begin() + end * width};
}

std::vector<std::pair<const kernels::Table*, DType>> tables_and_types() {
  std::vector<std::pair<const kernels::Table*, DType>> out;
  for (const kernels::Table* table : kernels::available_tables()) {
    for (const DType dtype : {DType::kF16, DType::kQ8_0}) out.emplace_back(table, dtype);
  }
  return out;
}

TEST(AttentionInvariance, StepsThreadsAndTables) {
  // 1100 tokens: 18 pages, two runs.
  const HeadShape heads{4, 2, 32};
  constexpr int64_t kTok = 1100;
  const auto qkv = random_floats(kTok * qkv_width(heads), 1, 2.0f);
  for (const KvMode& mode : kKvModes) {
    const auto run = [&](const kernels::Table* table, int threads, std::vector<int64_t> steps, uint64_t rubbish) {
      Machine machine(table, threads, kTok, heads, kTok, mode.numerics);
      const Cache cache(heads, mode.dtype, 18, rubbish);
      return machine.sequence(qkv, kTok, cache, std::move(steps));
    };
    const auto tables = kernels::available_tables();
    const auto whole = run(tables.front(), 1, {kTok}, 1);
    for (const kernels::Table* table : tables) {
      const bool generic = table->name == "generic";
      EXPECT_TRUE(same_bits(
          whole,
          run(table, 2, generic ? std::vector<int64_t>{kTok - 20, 19, 1} : std::vector<int64_t>{900, 100, 16, 1}, 3)))
          << table->name << " " << describe(mode);
      if (generic) continue;
      EXPECT_TRUE(same_bits(whole, run(table, 2, {kTok}, 2))) << table->name << " " << describe(mode);
      // The generic table and the decoding of quantised pages (`exact`) are slow: fewer ways for them.
      const bool quick = mode.numerics == Numerics::kFast;
      for (int threads : quick ? std::vector<int>{1, 2, 3} : std::vector<int>{2}) {
        for (const auto& steps : std::vector<std::vector<int64_t>>{{63, 2, 64, 1, 512, 7}, {1}, {16}, {100}}) {
          if (!quick && steps.size() == 1) break;
          EXPECT_TRUE(same_bits(whole, run(table, threads, steps, 4)))
              << table->name << " " << threads << " " << steps[0] << " " << describe(mode);
        }
      }
    }
  }
}

TEST(AttentionInvariance, SplitAndUnsplitRunsAgree) {
  constexpr int64_t kTok = 3300;  // four runs
  for (const DType dtype : {DType::kF16, DType::kQ8_0}) {
    const HeadShape heads{6, 1, dtype == DType::kF16 ? 48 : 64};
    const auto qkv = random_floats(kTok * qkv_width(heads), 2, 1.5f);
    std::vector<float> first;
    for (int threads : {1, 8}) {  // one thread never splits, eight always do
      Machine machine(kernels::available_tables().front(), threads, kTok, heads, kTok);
      const Cache cache(heads, dtype, 52, 1);
      const auto got = machine.sequence(qkv, kTok, cache, {3240, 1, 30, 1});
      if (first.empty()) first = got;
      EXPECT_TRUE(same_bits(first, got)) << threads;
    }
    // Scratch too small for partial states: the call falls back to whole units.
    Machine machine(kernels::available_tables().front(), 8, kTok, heads, 64);
    const Cache cache(heads, dtype, 52, 1);
    EXPECT_TRUE(same_bits(first, machine.sequence(qkv, kTok, cache, {3240, 1, 30, 1})));
  }
}

TEST(AttentionInvariance, MixedBatchEqualsEachSequenceAlone) {
  const HeadShape heads{4, 2, 32};
  const int64_t width = qkv_width(heads), out_width = 4 * 32;
  // Sequences of different age: {tokens already there, tokens of this step}.
  const std::pair<int64_t, int64_t> ages[] = {{0, 5},   {63, 1}, {64, 1},   {100, 37},
                                              {200, 1}, {0, 1},  {130, 64}, {1050, 1}};
  for (const auto& [table, dtype] : tables_and_types()) {
    Machine machine(table, 2, 1200, heads, 1200);
    Cache cache(heads, dtype, 40, 1);
    std::vector<Segment> batch;
    std::vector<float> batch_qkv, want;
    int32_t page = 0, token = 0;
    for (const auto& [past, now] : ages) {
      const auto qkv = random_floats((past + now) * width, 100 + static_cast<uint64_t>(past), 1.0f);
      const Cache own(heads, dtype, 18, 9);
      const auto alone = machine.sequence(qkv, past + now, own, {past + now});
      const auto tail = rows_of(alone, out_width, past, past + now);
      want.insert(want.end(), tail.begin(), tail.end());
      if (past > 0) {  // its past, in the shared cache
        auto before = rows_of(qkv, width, 0, past);
        const Segment s{0, static_cast<int32_t>(past), -1, 0, page};
        kv_store(machine.context(), matrix(before, past), heads, cache.view(), 1, {&s, 1});
      }
      const auto rows = rows_of(qkv, width, past, past + now);
      batch_qkv.insert(batch_qkv.end(), rows.begin(), rows.end());
      batch.push_back({token, static_cast<int32_t>(now), -1, static_cast<int32_t>(past), page});
      token += static_cast<int32_t>(now);
      page += static_cast<int32_t>((past + now + 63) / 64);
    }
    EXPECT_TRUE(same_bits(want, machine.step(batch_qkv, token, cache, batch))) << table->name << " " << name(dtype);
  }
}

// A tree in one step: a parent of 150 tokens, a child that leaves it at 101 (inside a page, and inside a pair of
// tokens), a grandchild that leaves the child at 110, and a sibling at 128 (a page border). Each must equal its path
// decoded as one fresh sequence.
TEST(AttentionInvariance, ForksEqualFreshSequences) {
  const HeadShape heads{4, 1, 32};
  const int64_t width = qkv_width(heads), out_width = 4 * 32;
  const auto trunk = random_floats(150 * width, 1), child = random_floats(40 * width, 2);
  const auto grandchild = random_floats(90 * width, 3), sibling = random_floats(20 * width, 4);
  const auto join = [&](std::vector<float> a, int64_t n, const std::vector<float>& b) {
    a.resize(static_cast<size_t>(n * width));
    a.insert(a.end(), b.begin(), b.end());
    return a;
  };
  for (const KvMode& mode : kKvModes) {
    for (const kernels::Table* table : kernels::available_tables()) {
      Machine machine(table, 3, 400, heads, 400, mode.numerics);
      Cache cache(heads, mode.dtype, 10, 7);
      // Physical pages 0..9. Trunk 0 1 2; child: 0, own 3 4; grandchild: 0, own 5 6 7 (positions 110..199 need pages
      // 1, 2, 3 of its path); sibling: 0 1, own 8.
      cache.table() = {0, 1, 2, 0, 3, 4, 0, 5, 6, 7, 0, 1, 8};
      cache.refresh();
      const std::vector<Segment> tree = {
          {0, 150, -1, 0, 0}, {150, 40, 0, 101, 3}, {190, 90, 1, 110, 6}, {280, 20, 0, 128, 10}};
      std::vector<float> qkv = trunk;
      for (const auto* part : {&child, &grandchild, &sibling}) qkv.insert(qkv.end(), part->begin(), part->end());
      const auto got = machine.step(qkv, 300, cache, tree);

      const auto child_path = join(trunk, 101, child);
      const std::vector<float> paths[] = {trunk, child_path, join(child_path, 110, grandchild),
                                          join(trunk, 128, sibling)};
      for (size_t i = 0; i < tree.size(); ++i) {
        const int64_t tokens = tree[i].start_pos + tree[i].length;
        const Cache fresh(heads, mode.dtype, 4, 8);
        const auto alone = machine.sequence(paths[i], tokens, fresh, {tokens});
        EXPECT_TRUE(same_bits(rows_of(alone, out_width, tree[i].start_pos, tokens),
                              rows_of(got, out_width, tree[i].first_token, tree[i].first_token + tree[i].length)))
            << table->name << " " << describe(mode) << " segment " << i;
      }
    }
  }
}

// Values so small that products vanish: a masked slot that were multiplied by zero, or a flushed denormal, would show
// in the sign of a zero or in a lost bit.
TEST(AttentionInvariance, TinyValuesAndWhatSlotsHeldBefore) {
  const HeadShape heads{3, 1, 16};
  constexpr int64_t kTok = 140;
  auto qkv = random_floats(kTok * qkv_width(heads), 6, 8.0f);
  for (int64_t t = 0; t < kTok; ++t) {
    for (int64_t d = 0; d < 16; ++d) qkv[static_cast<size_t>(t * 80 + 64 + d)] *= 0x1p-140f;
  }
  std::vector<float> first;
  for (const kernels::Table* table : kernels::available_tables()) {
    for (uint64_t rubbish : {1, 2, 3}) {
      for (const auto& steps : std::vector<std::vector<int64_t>>{{kTok}, {1}, {37}}) {
        Machine machine(table, 2, kTok, heads, kTok);
        const Cache cache(heads, DType::kF32, 3, rubbish);
        const auto got = machine.sequence(qkv, kTok, cache, steps);
        if (first.empty()) first = got;
        EXPECT_TRUE(same_bits(first, got)) << table->name << " " << rubbish << " " << steps[0];
      }
    }
  }
}

#if defined(__x86_64__)
TEST(AttentionInvariance, CallersFloatModeIsIgnored) {
  const HeadShape heads{2, 1, 32};
  auto qkv = random_floats(90 * qkv_width(heads), 8, 0x1p-60f);  // products are denormal
  std::vector<int32_t> positions(90, 77);
  std::vector<float> inv_freq = {1.0f, 0.5f, 0x1p-130f, 0x1p-140f};
  std::vector<float> out[2], cos_sin[2], norm[2], down[2];
  const auto w = random_floats(128, 3);
  auto residual = random_floats(90 * 16, 4);
  const kernels::TestMatrix gate = kernels::make_matrix(DType::kQ8_0, 64, 128, 5),
                            up = kernels::make_matrix(DType::kQ8_0, 64, 128, 6),
                            matrix_down = kernels::make_matrix(DType::kQ8_0, 16, 64, 7);
  const Linear w_gate{gate.packed}, w_up{up.packed}, w_down{matrix_down.packed};
  for (int mode : {0, 1}) {
    Machine machine(kernels::available_tables().front(), 2, 90, heads, 90);
    Cache cache(heads, DType::kF32, 2, 1);
    const unsigned before = _mm_getcsr();
    if (mode == 1) _mm_setcsr(before | 0x8040 | 0x6000);  // flush, denormals are zero, round toward zero
    out[mode] = machine.sequence(qkv, 90, cache, {90});
    cos_sin[mode].resize(90 * 8);
    rope_table(machine.context(), positions, inv_freq, 1.0f, matrix(cos_sin[mode], 90));
    norm[mode].resize(90 * 128);
    auto x = qkv;
    rms_norm(machine.context(), matrix(x, 90), w.data(), 0x1p-130f, matrix(norm[mode], 90));
    down[mode].resize(90 * 16);
    std::vector<float> h(90 * 128), act(90 * 64);
    mlp(machine.context(), matrix(x, 90), w.data(), 0x1p-130f, matrix(h, 90), {w_gate, w_up, w_down},
        {nullptr, DType::kF32, Shape{90, 128}}, matrix(act, 90), matrix(residual, 90), matrix(down[mode], 90));
    _mm_setcsr(before);
  }
  EXPECT_TRUE(same_bits(out[0], out[1]));
  EXPECT_TRUE(same_bits(cos_sin[0], cos_sin[1]));
  EXPECT_TRUE(same_bits(norm[0], norm[1]));
  EXPECT_TRUE(same_bits(down[0], down[1]));
}
#endif

}  // namespace
}  // namespace bantam::ops::test
