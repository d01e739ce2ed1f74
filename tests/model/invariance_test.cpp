// Promise 3 by equality: a sequence's logits are the same bits alone or in company, whole or in chunks, with one
// thread or two, from every kernel table, in both numerics modes. Their hashes are committed and hold on every CPU.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "base/json.h"
#include "base/mmap.h"
#include "support.h"

namespace bantam::model {
namespace {

using ops::Numerics;

// Lengths that end before, on and after page and tile edges.
std::vector<Ids> mixed_sequences(int64_t vocab) {
  std::vector<Ids> sequences;
  for (const int64_t length : {1, 7, 63, 64, 65, 70, 16, 33}) {
    sequences.push_back(random_ids(static_cast<uint64_t>(length), length, vocab));
  }
  return sequences;
}

class InvarianceTest : public testing::TestWithParam<DType> {
 protected:
  InvarianceTest() : weights_(random_model(quant_config(), GetParam(), 11, pool_)) {}

  void expect_same(const std::vector<Ids>& sequences, const RunSpec& spec,
                   const std::vector<std::vector<float>>& expected, const std::string& what) {
    const auto got = run(weights_, spec, sequences);
    for (size_t s = 0; s < sequences.size(); ++s) {
      ASSERT_EQ(0, std::memcmp(got[s].data(), expected[s].data(), expected[s].size() * 4))
          << what << ": sequence " << s << " of length " << sequences[s].size();
    }
  }

  ThreadPool pool_{2};
  Weights weights_;
};

TEST_P(InvarianceTest, CompanyChunksAndThreads) {
  const std::vector<Ids> sequences = mixed_sequences(weights_.config.vocab_size);
  const std::vector<Ids> longer = {random_ids(5, 520, weights_.config.vocab_size)};
  for (const Numerics numerics : {Numerics::kExact, Numerics::kFast}) {
    RunSpec spec;
    spec.numerics = numerics;
    spec.kv = DType::kF16;
    const auto expected = run(weights_, spec, sequences);
    const auto expected_longer = run(weights_, spec, longer);
    const std::string mode = numerics == Numerics::kFast ? "fast" : "exact";
    spec.threads = 2;
    expect_same(sequences, spec, expected, mode + ", 2 threads");
    spec.batch = 8;
    expect_same(sequences, spec, expected, mode + ", batch of 8");
    for (const int64_t chunk : {1, 16}) {
      spec.chunk = chunk;
      expect_same(sequences, spec, expected, fmt::format("{}, batch of 8, chunks of {}", mode, chunk));
    }
    for (const int64_t chunk : {100, 512}) {
      spec.chunk = chunk;
      expect_same(longer, spec, expected_longer, fmt::format("{}, chunks of {}", mode, chunk));
    }
  }
}

TEST_P(InvarianceTest, KernelTables) {
  const std::vector<Ids> sequences = {random_ids(1, 65, weights_.config.vocab_size),
                                      random_ids(2, 3, weights_.config.vocab_size)};
  for (const Numerics numerics : {Numerics::kExact, Numerics::kFast}) {
    for (const DType kv : {DType::kF16, DType::kF32, DType::kQ8_0, DType::kQ4_0}) {
      RunSpec spec;
      spec.numerics = numerics;
      spec.kv = kv;
      const auto expected = run(weights_, spec, sequences);
      spec.threads = 2;
      spec.batch = 2;
      spec.chunk = 16;
      for (const kernels::Table* table : kernels::available_tables()) {
        spec.table = table;
        expect_same(sequences, spec, expected,
                    std::string(table->name) + (numerics == Numerics::kFast ? " fast" : " exact"));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, InvarianceTest,
                         testing::Values(DType::kF32, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_K,
                                         DType::kQ6_K),
                         [](const auto& instance) { return std::string(name(instance.param)); });

// A fork: two continuations share a prefix's pages; each equals the same tokens fed alone.
TEST(SegmentTest, ChildrenSeeTheirParentAndOnlyIt) {
  ThreadPool pool(2);
  const Weights weights = random_model(quant_config(), DType::kQ8_0, 3, pool);
  const Config& c = weights.config;
  const Ids prefix = random_ids(1, 70, c.vocab_size), left = random_ids(2, 20, c.vocab_size),
            right = random_ids(3, 9, c.vocab_size);
  for (const Numerics numerics : {Numerics::kExact, Numerics::kFast}) {
    RunSpec spec;
    spec.numerics = numerics;
    spec.kv = DType::kF16;
    std::vector<Ids> alone{prefix, prefix};
    alone[0].insert(alone[0].end(), left.begin(), left.end());
    alone[1].insert(alone[1].end(), right.begin(), right.end());
    const auto expected = run(weights, spec, alone);

    // Pages: 0 holds positions 0..63 for everybody; the page of 64..127 is 1 (parent), 2 (left), 3 (right).
    const std::vector<int32_t> table = {0, 1, 0, 2, 0, 3};
    const kernels::KvLayout layout{DType::kF16, c.num_hidden_layers, c.num_key_value_heads, c.head_dim};
    const Storage memory = Storage::allocate(4 * layout.layers * layout.page_bytes()).value();
    Ids tokens = prefix;
    tokens.insert(tokens.end(), left.begin(), left.end());
    tokens.insert(tokens.end(), right.begin(), right.end());
    std::vector<int32_t> positions, rows;
    for (int32_t i = 0; i < 70; ++i) positions.push_back(i);
    for (int32_t i = 0; i < 20; ++i) positions.push_back(70 + i);
    for (int32_t i = 0; i < 9; ++i) positions.push_back(70 + i);
    for (int32_t i = 0; i < 99; ++i) rows.push_back(i);
    const std::vector<kernels::Segment> segments = {{0, 70, -1, 0, 0}, {70, 20, 0, 70, 2}, {90, 9, 0, 70, 4}};
    Workspace ws = Workspace::create(c, {99, 99, 128}, *kernels::available_tables()[0], pool, numerics).value();
    const Rope rope = make_rope(c, 128).value();
    forward(weights, {tokens, positions, segments, {layout, memory.data(), 4, table}, rows, &rope}, ws, nullptr,
            ws.logits);
    const size_t row_bytes = static_cast<size_t>(c.vocab_size) * 4;
    for (int64_t i = 0; i < 90; ++i) {
      ASSERT_EQ(0, std::memcmp(ws.logits.row(i), expected[0].data() + i * c.vocab_size, row_bytes)) << "left " << i;
    }
    for (int64_t i = 0; i < 9; ++i) {
      ASSERT_EQ(0, std::memcmp(ws.logits.row(90 + i), expected[1].data() + (70 + i) * c.vocab_size, row_bytes))
          << "right " << i;
    }
  }
}

uint64_t fnv1a(const std::vector<float>& values) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const float v : values) {
    uint32_t bits;
    std::memcpy(&bits, &v, 4);
    for (int shift = 0; shift < 32; shift += 8) hash = (hash ^ (bits >> shift & 0xFF)) * 0x100000001B3u;
  }
  return hash;
}

struct HashRun {
  std::string model;  // a golden folder, or "random-TYPE"
  Numerics numerics;
  DType kv;
};

// tests/golden/model/hashes.json: {"MODEL MODE KV": "16 hex digits"}. BANTAM_UPDATE_HASHES=FILE writes what this
// machine computes, for a deliberate change of numerics.
TEST(HashTest, LogitBitsAreTheCommittedOnes) {
  std::vector<HashRun> runs;
  for (const Numerics numerics : {Numerics::kExact, Numerics::kFast}) {
    for (const char* type : {"q8_0", "q4_0", "q4_k", "q6_k"}) {
      runs.push_back({std::string("random-") + type, numerics, DType::kF16});
    }
  }
  for (const Numerics numerics : {Numerics::kExact, Numerics::kFast}) {
    for (const DType kv : {DType::kQ8_0, DType::kQ4_0}) runs.push_back({"random-q8_0", numerics, kv});
  }
  for (const char* folder : {"q3-base", "q3-yarn", "q2-untied"}) {
    runs.push_back({folder, Numerics::kExact, DType::kF32});
    runs.push_back({folder, Numerics::kExact, DType::kF16});
  }
  const std::string path = golden_dir() + "/hashes.json";
  const char* update = std::getenv("BANTAM_UPDATE_HASHES");
  JsonValue committed = JsonValue::object();
  if (update == nullptr) {
    const auto text = read_file(path);
    ASSERT_TRUE(text.ok()) << text.status().message();
    committed = parse_json(*text, "hashes.json").value();
  }
  JsonValue computed = JsonValue::object();
  ThreadPool pool(2);
  for (const HashRun& r : runs) {
    const bool random = r.model.substr(0, 7) == "random-";
    const Weights weights =
        random ? random_model(quant_config(), *parse_dtype(r.model.substr(7)), 2025, pool)
               : load_weights(formats::Checkpoint::open(golden_dir() + "/" + r.model).value(), pool).value();
    const std::vector<Ids> sequences = {random_ids(9, 100, weights.config.vocab_size)};
    const std::string key =
        fmt::format("{} {} {}", r.model, r.numerics == Numerics::kFast ? "fast" : "exact", name(r.kv));
    for (const kernels::Table* table : kernels::available_tables()) {
      RunSpec spec;
      spec.table = table;
      spec.numerics = r.numerics;
      spec.kv = r.kv;
      const std::string hash = fmt::format("{:016x}", fnv1a(run(weights, spec, sequences)[0]));
      computed.set(key, JsonValue::string(hash));
      if (update != nullptr) continue;
      const JsonValue* expected = committed.find(key);
      ASSERT_NE(expected, nullptr) << key;
      EXPECT_EQ(hash, expected->as_string()) << key << " on " << table->name;
    }
  }
  if (update == nullptr) return;
  AtomicFile file = AtomicFile::create(update).value();
  ASSERT_TRUE(file.write(to_pretty_json(computed) + "\n").ok());
  ASSERT_TRUE(file.commit().ok());
}

}  // namespace
}  // namespace bantam::model
