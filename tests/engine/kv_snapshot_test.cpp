// Keys and values on disk: what follows a restore is what follows the prompt itself, bit for bit, and no file that is
// damaged, cut or of something else is taken.
#include "engine/kv_snapshot.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/mmap.h"
#include "base/rng.h"
#include "engine/batch_generator.h"
#include "engine/nano.h"
#include "engine/runner.h"

namespace bantam::engine {
namespace {

class KvSnapshotTest : public testing::Test {
 protected:
  KvSnapshotTest() : path_(testing::TempDir() + "bantam_kv_" + std::to_string(::getpid())) {
    Philox rng(3);
    for (int i = 0; i < 200; ++i) prompt_.push_back(static_cast<int32_t>(rng.below(4096)));
  }
  ~KvSnapshotTest() override { std::filesystem::remove(path_); }
  static Engine load(EngineOptions options = {}) {
    if (options.context_tok == 0) options.context_tok = 512;
    if (options.threads == 0) options.threads = 1;
    auto engine = Engine::load(ModelSource{.path = nano_folder(), .files = {}}, options);
    EXPECT_TRUE(engine.ok()) << engine.status().message();
    return std::move(*engine);
  }
  static Session session_of(Engine& engine) { return std::move(*engine.new_session()); }
  std::string file() const { return *read_file(path_); }
  void put(const std::string& bytes) const { std::ofstream(path_, std::ios::binary) << bytes; }

  std::string path_;
  std::vector<int32_t> prompt_;
};

TEST_F(KvSnapshotTest, GoesOnAsIfItHadReadThePrompt) {
  for (const KvType kv : {KvType::kF16, KvType::kF32, KvType::kQ8_0}) {
    std::vector<float> expected;
    {
      Engine engine = load({.threads = 2, .kv = kv});
      Session session = session_of(engine);
      ASSERT_TRUE(session.append(prompt_).ok());
      expected.assign(session.logits().begin(), session.logits().end());
      const auto saved = session.save(path_);
      ASSERT_TRUE(saved.ok()) << saved.status().message();
      EXPECT_EQ(*saved, 192) << "whole pages";
    }
    Engine engine = load({.kv = kv, .isa = "generic"});
    Session session = session_of(engine);
    ASSERT_TRUE(session.append(std::vector<int32_t>(70, 5)).ok());
    const auto restored = session.restore(path_);
    ASSERT_TRUE(restored.ok()) << restored.status().message();
    EXPECT_EQ(*restored, 192);
    EXPECT_FALSE(session.has_logits());
    const auto kept = session.sync(prompt_);
    ASSERT_TRUE(kept.ok());
    EXPECT_EQ(*kept, 192);
    EXPECT_EQ(std::vector<float>(session.logits().begin(), session.logits().end()), expected);
  }
}

TEST_F(KvSnapshotTest, LessThanAPageIsAFileOfNothing) {
  Engine engine = load();
  Session session = session_of(engine);
  ASSERT_TRUE(session.append(std::span(prompt_).first(63)).ok());
  EXPECT_EQ(*session.save(path_), 0);
  const auto restored = session.restore(path_);
  ASSERT_TRUE(restored.ok()) << restored.status().message();
  EXPECT_EQ(*restored, 0);
  EXPECT_EQ(session.size(), 0);
}

TEST_F(KvSnapshotTest, EveryDamageIsRefused) {
  Engine engine = load();
  Session session = session_of(engine);
  ASSERT_TRUE(session.append(std::span(prompt_).first(130)).ok());
  ASSERT_EQ(*session.save(path_), 128);
  const std::string good = file();
  std::vector<size_t> places;
  for (size_t at = 0; at < 900; at += 3) places.push_back(at);  // head, description and tokens
  for (size_t at = 900; at < good.size(); at += good.size() / 40) places.push_back(at);
  places.push_back(good.size() - 1);
  for (const size_t at : places) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    put(bad);
    const auto restored = session.restore(path_);
    // The zeros between the description and the tokens say nothing; all else does.
    if (restored.ok()) {
      EXPECT_EQ(good[at], '\0') << at;
      EXPECT_LT(at, 300u);
      continue;
    }
    EXPECT_EQ(restored.status().code(), ErrorCode::kBadInput) << at << restored.status().message();
  }
  for (const size_t size :
       {size_t{0}, size_t{15}, size_t{47}, size_t{48}, size_t{200}, good.size() / 2, good.size() - 1}) {
    put(good.substr(0, size));
    EXPECT_EQ(session.restore(path_).status().code(), ErrorCode::kBadInput) << size;
  }
  put(good + "x");
  EXPECT_EQ(session.restore(path_).status().code(), ErrorCode::kBadInput);
  // Numbers nobody would write.
  for (const size_t field : {16u, 24u, 32u}) {
    for (const uint64_t value : {uint64_t{0}, uint64_t{64}, uint64_t{1} << 31, uint64_t{1} << 62, UINT64_MAX - 7}) {
      std::string bad = good;
      std::memcpy(bad.data() + field, &value, sizeof value);
      put(bad);
      EXPECT_EQ(session.restore(path_).status().code(), ErrorCode::kBadInput) << field << " " << value;
    }
  }
  put(good);
  EXPECT_TRUE(session.restore(path_).ok());
  std::filesystem::remove(path_);
  EXPECT_FALSE(session.restore(path_).ok());
  EXPECT_EQ(session.size(), 128) << "stays as it was";
}

TEST_F(KvSnapshotTest, WhatIsOfSomethingElseIsRefused) {
  Engine engine = load();
  Session session = session_of(engine);
  ASSERT_TRUE(session.append(prompt_).ok());
  ASSERT_TRUE(session.save(path_).ok());
  const auto message = [&](EngineOptions options) {
    Engine other = load(options);
    Session of_other = session_of(other);
    const auto restored = of_other.restore(path_);
    EXPECT_FALSE(restored.ok());
    return restored.ok() ? std::string() : std::string(restored.status().message());
  };
  EXPECT_NE(message({.numerics = NumericsMode::kExact}).find("expected keys and values in exact, got fast"),
            std::string::npos);
  EXPECT_NE(message({.kv = KvType::kF32}).find("expected keys and values as f32, got f16"), std::string::npos);
  EXPECT_NE(message({.context_tok = 100'000}).find("stretching of the context"), std::string::npos);
  EXPECT_NE(message({.context_tok = 128}).find("the context is full"), std::string::npos);

  KvIdentity stranger = engine.impl().kv_identity();
  stranger.weights[0] = stranger.weights[0] == '0' ? '1' : '0';
  stranger.model = "another";
  const auto opened = KvSnapshot::open(path_, stranger, engine.impl().kv().layout(), 4096);
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.status().message().find("of this model (another), got those of another (nano)"), std::string::npos)
      << opened.status().message();
  EXPECT_FALSE(KvSnapshot::open(path_, engine.impl().kv_identity(), engine.impl().kv().layout(), 100).ok())
      << "tokens must be rows";
}

TEST_F(KvSnapshotTest, WeightsAreToldApart) {
  Engine engine = load(), again = load({.threads = 2});
  const KvIdentity first = engine.impl().kv_identity();
  EXPECT_EQ(first.weights, again.impl().kv_identity().weights);
  std::byte* weights = engine.impl().weights().storage.data();
  weights[engine.impl().weights().packed_bytes / 2] ^= std::byte{1};
  const KvIdentity changed = kv_identity("nano", engine.impl().weights(), model::Rope(), ops::Numerics::kFast,
                                         engine.impl().kv().layout(), engine.impl().pool());
  EXPECT_NE(first.weights, changed.weights);
}

class KvSnapshotInBatch : public KvSnapshotTest {
 protected:
  static Generation run(BatchGenerator& batch, const std::string& owner, const std::vector<int32_t>& prompt) {
    Generation out;
    BatchGenerator::Job job{.id = 1, .owner = owner, .prompt = prompt, .options = {}};
    job.options.max_tok = 5;
    job.options.sampling.top_logprobs = 0;
    job.options.sampling.temperature = 0;
    job.on_done = [&](Generation g) { out = std::move(g); };
    EXPECT_TRUE(batch.submit(std::move(job)).ok());
    while (!batch.idle()) EXPECT_TRUE(batch.step().ok());
    return out;
  }
  text::Tokenizer tokenizer_ = nano_tokenizer();
};

TEST_F(KvSnapshotInBatch, ABeginningIsRemembered) {
  Generation expected;
  {
    Engine engine = load();
    BatchGenerator batch(engine, tokenizer_, {});
    expected = run(batch, "a", prompt_);
    EXPECT_EQ(*batch.save_prefix("b", prompt_, path_), 0) << "of another owner";
    EXPECT_EQ(*batch.save_prefix("a", prompt_, path_), 192);
    EXPECT_EQ(batch.counts().free_pages + batch.counts().remembered_pages, batch.counts().total_pages);
  }
  Engine engine = load();
  BatchGenerator batch(engine, tokenizer_, {});
  const auto restored = batch.restore_prefix("c", path_);
  ASSERT_TRUE(restored.ok()) << restored.status().message();
  EXPECT_EQ(*restored, 192);
  ASSERT_TRUE(batch.restore_prefix("c", path_).ok()) << "twice is once";
  EXPECT_EQ(batch.counts().remembered_pages, 3);
  const Generation answer = run(batch, "c", prompt_);
  EXPECT_EQ(answer.cached_tok, 192);
  ASSERT_EQ(answer.tokens.size(), expected.tokens.size());
  for (size_t i = 0; i < answer.tokens.size(); ++i) {
    EXPECT_EQ(answer.tokens[i].id, expected.tokens[i].id);
    EXPECT_EQ(answer.tokens[i].logprob, expected.tokens[i].logprob);
  }
}

TEST_F(KvSnapshotInBatch, DamageAndLackOfRoom) {
  {
    Engine engine = load();
    BatchGenerator batch(engine, tokenizer_, {});
    run(batch, "a", prompt_);
    ASSERT_EQ(*batch.save_prefix("a", prompt_, path_), 192);
  }
  const std::string good = file();
  Engine engine = load({.context_tok = 64});  // one page and the spare ones: five
  BatchGenerator batch(engine, tokenizer_, {});
  std::string bad = good;
  bad[bad.size() - 5] ^= 1;
  put(bad);
  EXPECT_EQ(batch.restore_prefix("a", path_).status().code(), ErrorCode::kBadInput);
  EXPECT_EQ(batch.counts().free_pages, batch.counts().total_pages);
  put(good);
  ASSERT_TRUE(batch.restore_prefix("a", path_).ok());
  BatchGenerator without(engine, tokenizer_, {.prefix_cache = false});
  EXPECT_EQ(without.restore_prefix("a", path_).status().code(), ErrorCode::kUsage);
  ASSERT_TRUE(batch.restore_prefix("b", path_).ok());
  EXPECT_EQ(batch.counts().free_pages + batch.counts().remembered_pages, batch.counts().total_pages);
}

}  // namespace
}  // namespace bantam::engine
