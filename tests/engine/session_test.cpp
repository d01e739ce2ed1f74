// Sessions on the house model through the public API: whatever way a timeline came to be (chunks, forks, truncation,
// batch company, threads, instruction set), its logits are the same bits; and errors leave sessions as they were.
#include "bantam/session.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>

#include "bantam/engine.h"
#include "base/rng.h"
#include "engine/nano.h"
#include "engine/runner.h"
#include "kernels/table.h"

namespace bantam {
namespace {

std::vector<int32_t> random_ids(int64_t n, uint64_t seed) {
  Philox rng(seed);
  std::vector<int32_t> out(static_cast<size_t>(n));
  for (int32_t& id : out) id = static_cast<int32_t>(rng.below(4096));
  return out;
}

Engine load(const EngineOptions& options) {
  auto engine = Engine::load(ModelSource{.path = engine::nano_folder(), .files = {}}, options);
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  return std::move(*engine);
}

EngineOptions base_options() {
  EngineOptions o;
  o.threads = 1;
  o.context_tok = 512;
  o.pool_tok = 4096;
  return o;
}

Session session_of(Engine& engine) {
  auto session = engine.new_session();
  EXPECT_TRUE(session.ok());
  return std::move(*session);
}

std::vector<float> copy_logits(const Session& session) {
  EXPECT_TRUE(session.has_logits());
  return {session.logits().begin(), session.logits().end()};
}

// Bitwise, so that NaNs and signed zeros count too.
bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return !a.empty() && a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<float> fresh_logits(Engine& engine, std::span<const int32_t> ids) {
  Session session = session_of(engine);
  EXPECT_TRUE(session.append(ids).ok());
  return copy_logits(session);
}

// Every property below under one configuration.
void check_invariance(const EngineOptions& options) {
  Engine engine = load(options);
  const std::vector<int32_t> ids = random_ids(150, 1);
  const std::vector<float> whole = fresh_logits(engine, ids);
  for (const size_t chunk : {size_t{1}, size_t{16}, size_t{100}}) {
    Session session = session_of(engine);
    for (size_t at = 0; at < ids.size(); at += chunk) {
      ASSERT_TRUE(session.append(std::span(ids).subspan(at, std::min(chunk, ids.size() - at))).ok());
    }
    EXPECT_TRUE(same(copy_logits(session), whole)) << "chunks of " << chunk;
  }
  // A fork in the middle of a page: both go on, each as a fresh session would.
  Session trunk = session_of(engine);
  ASSERT_TRUE(trunk.append(std::span(ids).first(100)).ok());
  auto branch = trunk.fork();
  ASSERT_TRUE(branch.ok());
  EXPECT_TRUE(same(copy_logits(*branch), copy_logits(trunk)));
  std::vector<int32_t> other(ids.begin(), ids.begin() + 100);
  const std::vector<int32_t> tail = random_ids(40, 2);
  other.insert(other.end(), tail.begin(), tail.end());
  ASSERT_TRUE(branch->append(tail).ok());
  ASSERT_TRUE(trunk.append(std::span(ids).subspan(100)).ok());
  EXPECT_TRUE(same(copy_logits(trunk), whole));
  EXPECT_TRUE(same(copy_logits(*branch), fresh_logits(engine, other)));
  // Truncation and another end.
  trunk.truncate(100);
  EXPECT_FALSE(trunk.has_logits());
  ASSERT_TRUE(trunk.append(tail).ok());
  EXPECT_TRUE(same(copy_logits(trunk), copy_logits(*branch)));
}

TEST(Session, InvariantInEveryMode) {
  for (const NumericsMode numerics : {NumericsMode::kFast, NumericsMode::kExact}) {
    for (const KvType kv : {KvType::kF16, KvType::kF32, KvType::kQ8_0, KvType::kQ4_0}) {
      EngineOptions options = base_options();
      options.numerics = numerics;
      options.kv = kv;
      SCOPED_TRACE(testing::Message() << "exact " << (numerics == NumericsMode::kExact) << " kv "
                                      << static_cast<int>(kv));
      check_invariance(options);
    }
  }
}

TEST(Session, SameBitsOnEveryTableAndThreadCount) {
  const std::vector<int32_t> ids = random_ids(90, 4);
  for (const NumericsMode numerics : {NumericsMode::kFast, NumericsMode::kExact}) {
    std::vector<float> first;
    for (const kernels::Table* table : kernels::available_tables()) {
      for (const int threads : {1, 2}) {
        EngineOptions options = base_options();
        options.numerics = numerics;
        options.threads = threads;
        options.isa = table->name;
        Engine engine = load(options);
        const std::vector<float> logits = fresh_logits(engine, ids);
        if (first.empty()) first = logits;
        EXPECT_TRUE(same(logits, first)) << table->name << ", " << threads << " threads";
      }
    }
  }
}

TEST(Session, AStepOfEightMixedLengthsEqualsEachAlone) {
  EngineOptions options = base_options();
  options.threads = 2;
  Engine engine = load(options);
  const int64_t lengths[] = {1, 2, 7, 33, 64, 65, 20, 3};
  std::vector<Session> sessions;
  std::vector<std::vector<int32_t>> past, now;
  for (int64_t i = 0; i < 8; ++i) {
    past.push_back(random_ids(i * 13, static_cast<uint64_t>(100 + i)));
    now.push_back(random_ids(lengths[i], static_cast<uint64_t>(200 + i)));
    sessions.push_back(session_of(engine));
    ASSERT_TRUE(sessions.back().append(past.back()).ok());
  }
  std::vector<StepItem> items;
  for (size_t i = 0; i < 8; ++i) items.push_back({&sessions[i], now[i]});
  ASSERT_TRUE(engine.step(items).ok());
  for (size_t i = 0; i < 8; ++i) {
    std::vector<int32_t> all = past[i];
    all.insert(all.end(), now[i].begin(), now[i].end());
    EXPECT_EQ(std::vector<int32_t>(sessions[i].tokens().begin(), sessions[i].tokens().end()), all);
    EXPECT_TRUE(same(copy_logits(sessions[i]), fresh_logits(engine, all))) << "session " << i;
  }
}

TEST(Session, SyncReusesTheCommonBeginning) {
  Engine engine = load(base_options());
  Session session = session_of(engine);
  std::vector<int32_t> ids = random_ids(120, 7);
  auto kept = session.sync(ids);
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(*kept, 0);
  kept = session.sync(ids);
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(*kept, 120) << "nothing to do";
  ids[70] = (ids[70] + 1) % 4096;
  kept = session.sync(ids);
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(*kept, 70);
  EXPECT_TRUE(same(copy_logits(session), fresh_logits(engine, ids)));
  const std::vector<int32_t> prefix(ids.begin(), ids.begin() + 50);
  kept = session.sync(prefix);
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(*kept, 49) << "the last token is fed again for its logits";
  EXPECT_TRUE(same(copy_logits(session), fresh_logits(engine, prefix)));
  EXPECT_FALSE(session.sync({}).ok());
}

// Runs `attempt`, expects the error, and that the session is bit for bit what it was.
template <class F>
void expect_unchanged(Session& session, ErrorCode code, const F& attempt) {
  const std::vector<int32_t> before(session.tokens().begin(), session.tokens().end());
  const std::vector<float> logits = copy_logits(session);
  const Status status = attempt();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.code(), code) << status.message();
  EXPECT_EQ(std::vector<int32_t>(session.tokens().begin(), session.tokens().end()), before);
  EXPECT_TRUE(same(copy_logits(session), logits));
}

TEST(Session, ErrorsLeaveItUnchanged) {
  EngineOptions options = base_options();
  options.context_tok = 128;
  options.pool_tok = 128;  // with the spare pages, 6 in all
  options.chunk_tok = 64;
  Engine engine = load(options);
  Session session = session_of(engine);
  ASSERT_TRUE(session.append(random_ids(100, 1)).ok());
  EXPECT_EQ(session.capacity(), 128);
  const std::vector<int32_t> long_tail = random_ids(29, 2);
  expect_unchanged(session, ErrorCode::kContextFull, [&] { return session.append(long_tail); });
  expect_unchanged(session, ErrorCode::kContextFull, [&] { return session.sync(random_ids(129, 3)).status(); });
  std::vector<int32_t> bad = random_ids(5, 4);
  bad[3] = 999999;
  expect_unchanged(session, ErrorCode::kBadInput, [&] { return session.append(bad); });
  expect_unchanged(session, ErrorCode::kBadInput, [&] { return session.sync(bad).status(); });
  const StepItem twice[] = {{&session, std::span(bad).first(1)}, {&session, std::span(bad).first(1)}};
  expect_unchanged(session, ErrorCode::kUsage, [&] { return engine.step(twice); });
  const StepItem nothing[] = {{&session, {}}};
  expect_unchanged(session, ErrorCode::kUsage, [&] { return engine.step(nothing); });
  EXPECT_TRUE(engine.step({}).ok());
  // Others take the rest of the pool: 2 + 2 + 1 pages, one is left.
  Session second = session_of(engine), third = session_of(engine);
  ASSERT_TRUE(second.append(random_ids(128, 5)).ok());
  ASSERT_TRUE(third.append(random_ids(60, 6)).ok());
  const std::vector<int32_t> two_pages = random_ids(68, 7);  // fits its context and one chunk, not the pool's last page
  ASSERT_TRUE(third.append(std::span(two_pages).first(1)).ok());
  Session fourth = session_of(engine);
  ASSERT_TRUE(fourth.append(std::span(two_pages).first(64)).ok());
  expect_unchanged(fourth, ErrorCode::kContextFull, [&] { return fourth.append(std::span(two_pages).first(1)); });
  expect_unchanged(third, ErrorCode::kContextFull, [&] { return third.append(std::span(two_pages).first(10)); });
  expect_unchanged(third, ErrorCode::kContextFull, [&] { return third.sync(random_ids(100, 9)).status(); });
  EXPECT_TRUE(engine.impl().kv().check_integrity());
  { const Session gone = std::move(second); }
  EXPECT_TRUE(third.append(std::span(two_pages).first(10)).ok()) << "pages of a session that ended are free again";
  EXPECT_TRUE(session.append(random_ids(28, 8)).ok()) << "exactly full";
}

TEST(Session, PagesComeBack) {
  Engine engine = load(base_options());
  engine::KvPool& kv = engine.impl().kv();
  const int64_t all = kv.free_pages();
  {
    Philox rng(3);
    std::vector<Session> sessions;
    for (int i = 0; i < 120; ++i) {
      const uint32_t what = rng.below(5);
      if (sessions.empty() || (what == 0 && sessions.size() < 8)) {
        sessions.push_back(session_of(engine));
        ASSERT_TRUE(sessions.back().append(random_ids(1 + rng.below(90), rng.next())).ok());
        continue;
      }
      Session& one = sessions[rng.below(static_cast<uint32_t>(sessions.size()))];
      if (what == 1 && sessions.size() < 8) {
        auto fork = one.fork();
        ASSERT_TRUE(fork.ok());
        sessions.push_back(std::move(*fork));
      } else if (what == 2) {
        one.truncate(one.size() / 2);
      } else if (what == 3) {
        std::swap(one, sessions.back());
        sessions.pop_back();
      } else if (one.size() < 400) {
        ASSERT_TRUE(one.append(random_ids(1 + rng.below(20), rng.next())).ok());
      }
      ASSERT_TRUE(kv.check_integrity());
    }
  }
  EXPECT_EQ(kv.free_pages(), all);
}

TEST(Session, CancellationKeepsWholeChunks) {
  EngineOptions options = base_options();
  options.chunk_tok = 32;
  Engine engine = load(options);
  const std::vector<int32_t> ids = random_ids(100, 11);
  Session session = session_of(engine);
  const Status stopped = session.append(ids, [](int64_t done, int64_t total) {
    EXPECT_EQ(total, 100);
    return done < 64;
  });
  EXPECT_EQ(stopped.code(), ErrorCode::kCancelled);
  EXPECT_EQ(session.size(), 64);
  EXPECT_FALSE(session.has_logits());
  ASSERT_TRUE(session.sync(ids).ok());
  EXPECT_TRUE(same(copy_logits(session), fresh_logits(engine, ids)));
  const std::atomic<bool> cancel{true};
  EXPECT_EQ(session.append(std::span(ids).first(3), {}, &cancel).code(), ErrorCode::kCancelled);
  EXPECT_EQ(session.size(), 100);
}

TEST(Engine, RefusesNonsense) {
  const auto code = [](const EngineOptions& options) {
    return Engine::load(ModelSource{.path = engine::nano_folder(), .files = {}}, options).status().code();
  };
  EngineOptions options = base_options();
  options.isa = "mmx";
  EXPECT_EQ(code(options), ErrorCode::kUsage);
  options = base_options();
  options.context_tok = int64_t{1} << 24;
  EXPECT_EQ(code(options), ErrorCode::kUsage) << "beyond what the model can be stretched to";
  options = base_options();
  options.pool_tok = int64_t{1} << 40;
  EXPECT_EQ(code(options), ErrorCode::kNoSpace);
  options = base_options();
  options.chunk_tok = 0;
  EXPECT_EQ(code(options), ErrorCode::kUsage);
  EXPECT_EQ(Engine::load(ModelSource{.path = "/nonexistent", .files = {}}, base_options()).status().code(),
            ErrorCode::kBadInput);
}

TEST(Engine, TextlessIdsAreNeverSampled) {
  Engine engine = load(base_options());
  const text::Tokenizer tokenizer = engine::nano_tokenizer();
  const int64_t rows = engine.info().vocab_rows;
  const std::vector<int32_t> textless = engine::textless_ids(tokenizer, rows);
  ASSERT_FALSE(textless.empty()) << "the house model's rows are padded";
  engine.set_textless_ids(textless);
  Session session = session_of(engine);
  ASSERT_TRUE(session.append(random_ids(5, 1)).ok());
  SamplingOptions options{.temperature = 100};
  for (int32_t id : textless) options.logit_bias.emplace_back(id, 1e6f);
  for (uint64_t seed = 0; seed < 50; ++seed) {
    options.seed = seed;
    EXPECT_TRUE(tokenizer.has_text(session.sample(options, 0).id));
  }
}

}  // namespace
}  // namespace bantam
