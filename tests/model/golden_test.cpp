// Logits, hidden states and attention maps against transformers in fp32, on the committed random checkpoints
// (tools/make_golden.py). The bound is the issue's: worst row ||a - b|| / ||b|| <= 2e-5 in exact mode with f32 keys.
#include <gtest/gtest.h>

#include <cstring>

#include "support.h"

namespace bantam::model {
namespace {

using formats::Checkpoint;

constexpr double kRowBudget = 2e-5;

struct Golden {
  Ids ids;
  std::vector<int32_t> rows;
  std::vector<float> logits;
};

template <class T>
std::vector<T> values_of(const Checkpoint& file, const std::string& name) {
  const formats::NamedTensor* t = file.find(name);
  if (t == nullptr) return {};
  std::vector<T> out(static_cast<size_t>(t->view.shape.elems()));
  std::memcpy(out.data(), t->view.data, out.size() * sizeof(T));
  return out;
}

std::vector<Golden> golden_runs(const Checkpoint& file) {
  std::vector<Golden> runs;
  for (const formats::NamedTensor& t : file.tensors()) {
    if (t.name.substr(0, 4) != "ids.") continue;
    const std::string length(t.name.substr(4));
    runs.push_back({values_of<int32_t>(file, "ids." + length), values_of<int32_t>(file, "rows." + length),
                    values_of<float>(file, "logits." + length)});
  }
  return runs;
}

double worst_row(const Golden& golden, const std::vector<float>& logits, int64_t vocab) {
  double worst = 0;
  for (size_t r = 0; r < golden.rows.size(); ++r) {
    worst = std::max(worst, relative_error(logits.data() + golden.rows[r] * vocab,
                                           golden.logits.data() + static_cast<int64_t>(r) * vocab, vocab));
  }
  return worst;
}

class GoldenTest : public testing::TestWithParam<std::string> {
 protected:
  GoldenTest()
      : model_(Checkpoint::open(golden_dir() + "/" + GetParam()).value()),
        file_(Checkpoint::open(golden_dir() + "/" + GetParam() + "/golden.safetensors").value()),
        weights_(load_weights(model_, pool_).value()) {}
  ThreadPool pool_{2};
  Checkpoint model_, file_;
  Weights weights_;
};

TEST_P(GoldenTest, LogitsEqualTheReference) {
  const std::vector<Golden> runs = golden_runs(file_);
  ASSERT_GE(runs.size(), 2u);
  for (const kernels::Table* table : kernels::available_tables()) {
    for (const Golden& golden : runs) {
      RunSpec spec;
      spec.table = table;
      spec.threads = 2;
      const auto logits = run(weights_, spec, {golden.ids});
      const double worst = worst_row(golden, logits[0], weights_.config.vocab_size);
      EXPECT_LE(worst, kRowBudget) << table->name << ", length " << golden.ids.size();
      RecordProperty(std::string(table->name) + "_" + std::to_string(golden.ids.size()), std::to_string(worst * 1e6));
    }
  }
}

TEST_P(GoldenTest, HalfPrecisionKeysStayClose) {
  const std::vector<Golden> runs = golden_runs(file_);
  RunSpec spec;
  spec.kv = DType::kF16;
  for (const Golden& golden : runs) {
    const auto logits = run(weights_, spec, {golden.ids});
    EXPECT_LE(worst_row(golden, logits[0], weights_.config.vocab_size), 5e-3) << golden.ids.size();
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenTest, testing::ValuesIn(golden_names()), [](const auto& instance) {
  std::string name = instance.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(ProbeTest, HiddenStatesAndAttentionMapsEqualTheReference) {
  ThreadPool pool(1);
  const Checkpoint model = Checkpoint::open(golden_dir() + "/q3-base").value();
  const Checkpoint file = Checkpoint::open(golden_dir() + "/q3-base/golden.safetensors").value();
  const Weights weights = load_weights(model, pool).value();
  const Config& c = weights.config;
  const Ids ids = values_of<int32_t>(file, "ids.19");
  const std::vector<float> hidden = values_of<float>(file, "hidden.19");
  const int64_t rows = 19, row_elems = c.hidden_size;
  ASSERT_EQ(hidden.size(), static_cast<size_t>((c.num_hidden_layers + 1) * rows * row_elems));

  Probe probe(c, {true, {0, 1}}, rows);
  const auto probed = run(weights, {}, {ids}, &probe);
  EXPECT_EQ(probed, run(weights, {}, {ids})) << "probing changes no bit";
  for (int64_t i = 0; i <= c.num_hidden_layers; ++i) {
    for (int64_t t = 0; t < rows; ++t) {
      const float* expected = hidden.data() + (i * rows + t) * row_elems;
      EXPECT_LE(relative_error(probe.hidden(i).row(t), expected, row_elems), kRowBudget) << "state " << i << ", " << t;
    }
  }
  for (const int64_t layer : {0, 1}) {
    const std::vector<float> expected = values_of<float>(file, fmt::format("attention.{}.19", layer));
    const std::vector<float>& got = probe.attention(layer, 0);
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], 2e-6) << "layer " << layer << " at " << i;
  }
}

}  // namespace
}  // namespace bantam::model
