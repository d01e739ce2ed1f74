// Many answers at once are the answers each request gets alone: tokens, log-probabilities and text, whatever arrives
// when, with and without remembered beginnings, with too few pages for all.
#include "engine/batch_generator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/rng.h"
#include "engine/generate.h"
#include "engine/nano.h"
#include "engine/runner.h"
#include "engine/sampler.h"
#include "model/probe.h"

namespace bantam::engine {
namespace {

struct Wish {
  std::vector<int32_t> prompt;
  GenerateOptions options;
};

// Prompts of 1 to about 300 tokens, half of them with one of two common beginnings; greedy and sampled.
std::vector<Wish> wishes(const text::Tokenizer& tokenizer, int count) {
  Philox rng(7);
  std::vector<std::vector<int32_t>> beginnings(2);
  for (auto& beginning : beginnings) {
    for (int i = 0; i < 150; ++i) beginning.push_back(static_cast<int32_t>(rng.below(4096)));
  }
  std::vector<Wish> out;
  for (int i = 0; i < count; ++i) {
    Wish wish;
    if (rng.below(2) == 0) wish.prompt = beginnings[rng.below(2)];
    for (uint64_t k = 1 + rng.below(150); k > 0; --k) wish.prompt.push_back(static_cast<int32_t>(rng.below(4096)));
    wish.options.max_tok = static_cast<int64_t>(rng.below(24));
    wish.options.sampling.temperature = rng.below(2) == 0 ? 0.0 : 1.0;
    wish.options.sampling.seed = static_cast<uint64_t>(i);
    wish.options.sampling.top_logprobs = 2;
    wish.options.sampling.presence_penalty = rng.below(2) == 0 ? 0.0 : 0.5;
    wish.options.parse_answer = rng.below(2) == 0;
    wish.options.stop_ids = {*tokenizer.find_added("<|im_end|>")};
    if (rng.below(3) == 0) wish.options.stops = {"e"};
    wish.options.starts_in_thinking = rng.below(3) == 0;
    if (rng.below(3) == 0) wish.options.thinking_budget_tok = static_cast<int64_t>(rng.below(10));
    if (rng.below(3) == 0) wish.options.resumed_tok = static_cast<int64_t>(rng.below(wish.prompt.size() + 1));
    out.push_back(std::move(wish));
  }
  return out;
}

void expect_same(const Generation& a, const Generation& b, int64_t id) {
  EXPECT_EQ(a.text, b.text) << id;
  EXPECT_EQ(a.reasoning, b.reasoning) << id;
  EXPECT_EQ(a.finish_reason, b.finish_reason) << id;
  EXPECT_EQ(a.context_full, b.context_full) << id;
  EXPECT_EQ(a.thinking_cut, b.thinking_cut) << id;
  EXPECT_EQ(a.reasoning_tok, b.reasoning_tok) << id;
  ASSERT_EQ(a.tokens.size(), b.tokens.size()) << id;
  for (size_t i = 0; i < a.tokens.size(); ++i) {
    ASSERT_EQ(a.tokens[i].id, b.tokens[i].id) << id;
    ASSERT_EQ(a.tokens[i].logprob, b.tokens[i].logprob) << id;
    ASSERT_EQ(a.tokens[i].top.size(), 2u);
    ASSERT_EQ(a.tokens[i].top[1].logprob, b.tokens[i].top[1].logprob) << id;
  }
}

class Batch : public testing::Test {
 protected:
  static Engine load(int threads, int64_t pool_tok, int64_t context_tok) {
    EngineOptions options;
    options.threads = threads;
    options.context_tok = context_tok;
    options.pool_tok = pool_tok;
    auto engine = Engine::load(ModelSource{.path = nano_folder(), .files = {}}, options);
    EXPECT_TRUE(engine.ok()) << engine.status().message();
    return std::move(*engine);
  }
  std::vector<Generation> alone(const std::vector<Wish>& wishes, int64_t context_tok) {
    Engine engine = load(1, context_tok, context_tok);
    std::vector<Generation> out;
    for (const Wish& wish : wishes) {
      auto session = engine.new_session();
      auto answer = generate(*session, tokenizer_, wish.prompt, wish.options);
      EXPECT_TRUE(answer.ok()) << answer.status().message();
      out.push_back(std::move(*answer));
    }
    return out;
  }
  // Rows of logits in pieces of three, as `bantam score` takes them.
  static std::vector<double> scored(Engine& engine, const std::vector<int32_t>& ids) {
    SessionImpl session(&engine.impl());
    const auto vocab = static_cast<size_t>(engine.info().vocab_rows);
    std::vector<double> out = {0};
    for (size_t at = 0; at < ids.size(); at += 3) {
      const auto piece = std::span(ids).subspan(at, std::min<size_t>(3, ids.size() - at));
      const EngineImpl::Part part{&session, piece, EngineImpl::Rows::kAll};
      EXPECT_TRUE(engine.impl().run(std::span(&part, 1)).ok());
      for (size_t i = 0; i < piece.size() && at + i + 1 < ids.size(); ++i) {
        const std::span<const float> row(engine.impl().workspace_logits() + i * vocab, vocab);
        out.push_back(static_cast<double>(row[static_cast<size_t>(ids[at + i + 1])]) - log_sum_exp(row));
      }
    }
    return out;
  }
  // The last hidden states as `bantam forward --hidden` gives them, pooled.
  static std::vector<float> embedded(Engine& engine, const std::vector<int32_t>& ids, Pooling pooling) {
    SessionImpl session(&engine.impl());
    model::Probe probe(engine.impl().weights().config, {.hidden = true, .attention_layers = {}},
                       static_cast<int64_t>(ids.size()));
    const EngineImpl::Part part{&session, ids, EngineImpl::Rows::kLast};
    EXPECT_TRUE(engine.impl().run(std::span(&part, 1), nullptr, &probe).ok());
    probe.finish(engine.impl().weights(), engine.impl().workspace());
    const TensorView states = probe.hidden(engine.info().layers);
    EmbeddingPool pool(pooling, engine.info().hidden);
    pool.add(0, {states.f32(), ids.size() * static_cast<size_t>(engine.info().hidden)});
    return pool.finish();
  }

  // Submits one more every `gap` steps; returns the answers by place.
  std::map<int64_t, Generation> together(BatchGenerator& batch, const std::vector<Wish>& wishes, int gap) {
    std::map<int64_t, Generation> out;
    size_t next = 0;
    for (int step = 0; next < wishes.size() || !batch.idle(); ++step) {
      while (next < wishes.size() && static_cast<int>(next) * gap <= step) {
        const auto id = static_cast<int64_t>(next);
        BatchGenerator::Job job;
        job.id = id;
        job.owner = "owner " + std::to_string(id % 2);
        job.prompt = wishes[next].prompt;
        job.options = wishes[next].options;
        job.on_done = [&out, id](Generation g) { out.emplace(id, std::move(g)); };
        const Status status = batch.submit(std::move(job));
        EXPECT_TRUE(status.ok()) << status.message();
        ++next;
      }
      EXPECT_TRUE(batch.step().ok());
    }
    return out;
  }

  text::Tokenizer tokenizer_ = nano_tokenizer();
};

TEST_F(Batch, AnswersAreThoseGivenAlone) {
  const std::vector<Wish> list = wishes(tokenizer_, 24);
  const std::vector<Generation> expected = alone(list, 512);
  struct Case {
    int threads;
    int64_t pool_tok;
    bool cache;
    int gap;
  };
  for (const Case& c : {Case{1, 8192, true, 0}, Case{2, 8192, false, 2}, Case{2, 640, true, 1}}) {
    Engine engine = load(c.threads, c.pool_tok, 512);
    BatchGenerator batch(engine, tokenizer_, {.step_tok = 96, .prefill_tok = 40, .prefix_cache = c.cache});
    const std::map<int64_t, Generation> answers = together(batch, list, c.gap);
    ASSERT_EQ(answers.size(), list.size());
    bool shared = false;
    for (const auto& [id, answer] : answers) {
      expect_same(answer, expected[static_cast<size_t>(id)], id);
      EXPECT_EQ(answer.prompt_tok, static_cast<int64_t>(list[static_cast<size_t>(id)].prompt.size()));
      shared = shared || answer.cached_tok > 0;
    }
    EXPECT_EQ(shared, c.cache);
    const Scheduler::Counts counts = batch.counts();
    EXPECT_EQ(counts.free_pages + counts.remembered_pages, engine.impl().kv().capacity());
    EXPECT_EQ(counts.remembered_pages > 0, c.cache);
  }
}

// Answers, log-probabilities of prompts, embeddings and prompts only, in one another's company.
TEST_F(Batch, EverythingAtOnceIsAsAlone) {
  const std::vector<Wish> list = wishes(tokenizer_, 16);
  const std::vector<Generation> expected = alone(list, 512);
  Engine scorer = load(1, 512, 512);
  for (const int64_t pool_tok : {8192, 640}) {
    Engine engine = load(2, pool_tok, 512);
    BatchGenerator batch(engine, tokenizer_, {.step_tok = 96, .prefill_tok = 40});
    std::map<int64_t, Generation> answers;
    std::map<int64_t, std::vector<float>> vectors;
    std::map<int64_t, std::vector<int64_t>> progress;
    for (size_t i = 0; i < list.size(); ++i) {
      const auto id = static_cast<int64_t>(i);
      BatchGenerator::Job job{.id = id, .owner = "a", .prompt = list[i].prompt, .options = list[i].options};
      if (i % 2 == 0) job.options.prompt_logprobs = 2;
      job.on_done = [&answers, id](Generation g) { answers.emplace(id, std::move(g)); };
      job.on_progress = [&progress, id](int64_t done, int64_t total, int64_t cached) {
        EXPECT_LE(cached, done);
        EXPECT_LE(done, total);
        progress[id].push_back(done);
      };
      ASSERT_TRUE(batch.submit(std::move(job)).ok());
      for (const Pooling pooling : {Pooling::kMean, Pooling::kLast}) {
        const int64_t embedding_id = id + (pooling == Pooling::kMean ? 100 : 200);
        ASSERT_TRUE(batch
                        .submit_embedding({.id = embedding_id,
                                           .owner = "b",
                                           .prompt = list[i].prompt,
                                           .pooling = pooling,
                                           .on_done =
                                               [&vectors, embedding_id](std::vector<float> vector) {
                                                 vectors.emplace(embedding_id, std::move(vector));
                                               }})
                        .ok());
      }
    }
    while (!batch.idle()) ASSERT_TRUE(batch.step().ok());
    ASSERT_EQ(answers.size(), list.size());
    ASSERT_EQ(vectors.size(), 2 * list.size());
    for (size_t i = 0; i < list.size(); ++i) {
      const auto id = static_cast<int64_t>(i);
      expect_same(answers.at(id), expected[i], id);
      EXPECT_EQ(vectors.at(id + 100), embedded(scorer, list[i].prompt, Pooling::kMean)) << id;
      EXPECT_EQ(vectors.at(id + 200), embedded(scorer, list[i].prompt, Pooling::kLast)) << id;
      ASSERT_FALSE(progress[id].empty());
      EXPECT_TRUE(std::is_sorted(progress[id].begin(), progress[id].end()));
      EXPECT_EQ(progress[id].back(), static_cast<int64_t>(list[i].prompt.size()));
      if (i % 2 != 0) {
        EXPECT_TRUE(answers.at(id).prompt_logprobs.empty());
        continue;
      }
      const std::vector<double> logprobs = scored(scorer, list[i].prompt);
      ASSERT_EQ(answers.at(id).prompt_logprobs.size(), logprobs.size());
      for (size_t at = 0; at < logprobs.size(); ++at) {
        const Sampled& token = answers.at(id).prompt_logprobs[at];
        ASSERT_EQ(token.id, list[i].prompt[at]);
        ASSERT_EQ(token.logprob, logprobs[at]) << id << " at " << at;
        ASSERT_EQ(token.top.size(), at == 0 ? 0u : 2u);
      }
    }
    const Scheduler::Counts counts = batch.counts();
    EXPECT_EQ(counts.free_pages + counts.remembered_pages, counts.total_pages);
  }
}

TEST_F(Batch, APromptOnlyWarmsTheTree) {
  Engine engine = load(1, 1024, 512);
  BatchGenerator batch(engine, tokenizer_, {.step_tok = 64});
  std::vector<Generation> ended;
  BatchGenerator::Job job;
  job.prompt = std::vector<int32_t>(200, 9);
  job.options.max_tok = 0;
  job.on_done = [&](Generation g) { ended.push_back(std::move(g)); };
  ASSERT_TRUE(batch.submit(job).ok());
  while (!batch.idle()) ASSERT_TRUE(batch.step().ok());
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_TRUE(ended[0].tokens.empty());
  EXPECT_EQ(ended[0].finish_reason, FinishReason::kLength);
  EXPECT_EQ(batch.counts().remembered_pages, 4);
  job.prompt.resize(300, 8);
  ASSERT_TRUE(batch.submit(job).ok());
  ASSERT_TRUE(batch.step().ok());  // 64 more after the 200 remembered ones
  EXPECT_TRUE(batch.cancel(0));
  EXPECT_EQ(ended[1].cached_tok, 200);
  EXPECT_EQ(batch.counts().remembered_pages, 5) << "what was computed stays";
  ASSERT_TRUE(batch.submit(job).ok());
  while (!batch.idle()) ASSERT_TRUE(batch.step().ok());
  EXPECT_EQ(ended[2].cached_tok, 264);
  EXPECT_EQ(ended[2].prompt_tok, 300);
}

// A timeline that parts from another within a page goes on from a copy, which is as good as its own in every bit.
TEST_F(Batch, ACopiedPageIsAsGoodAsItsOwn) {
  for (const KvType kv : {KvType::kF16, KvType::kF32, KvType::kQ8_0, KvType::kQ4_0}) {
    const auto load_kv = [&] {
      EngineOptions options;
      options.threads = 2;
      options.context_tok = options.pool_tok = 2048;
      options.kv = kv;
      return Engine::load(ModelSource{.path = nano_folder(), .files = {}}, options);
    };
    auto engine = load_kv(), other = load_kv();
    ASSERT_TRUE(engine.ok() && other.ok());
    BatchGenerator with(*engine, tokenizer_, {}), without(*other, tokenizer_, {.prefix_cache = false});
    std::vector<Wish> list = wishes(tokenizer_, 1);
    list[0].prompt.clear();
    list[0].options.max_tok = 8;
    list[0].options.resumed_tok = 0;
    for (int32_t i = 0; i < 150; ++i) list[0].prompt.push_back(i * 37 % 900);
    together(with, list, 0);
    for (const int64_t kept : {1, 63, 64, 65, 127, 140, 149}) {
      std::vector<Wish> next = list;
      for (size_t i = static_cast<size_t>(kept); i < next[0].prompt.size(); ++i) next[0].prompt[i] = 901;
      const Generation expected = together(without, next, 0).at(0), got = together(with, next, 0).at(0);
      EXPECT_EQ(got.cached_tok, kept);
      expect_same(got, expected, kept);
    }
  }
}

TEST_F(Batch, TokensAreToldBeforeTheirText) {
  Engine engine = load(1, 1024, 512);
  BatchGenerator batch(engine, tokenizer_, {});
  std::vector<int32_t> told;
  std::string events;
  Generation answer;
  BatchGenerator::Job job;
  job.id = 1;
  job.prompt = {5, 6, 7};
  job.options.max_tok = 120;
  job.options.starts_in_thinking = true;
  job.options.thinking_budget_tok = 0;
  job.on_token = [&](const Sampled& token, bool reasoning) {
    told.push_back(token.id);
    events += reasoning ? 'r' : 't';
  };
  job.on_delta = [&](const AnswerDelta& delta) { events += delta.kind == AnswerDelta::Kind::kReasoning ? 'R' : 'T'; };
  job.on_done = [&](Generation g) { answer = std::move(g); };
  ASSERT_TRUE(batch.submit(std::move(job)).ok());
  while (!batch.idle()) ASSERT_TRUE(batch.step().ok());
  ASSERT_EQ(told.size(), answer.tokens.size());
  for (size_t i = 0; i < told.size(); ++i) EXPECT_EQ(told[i], answer.tokens[i].id);
  EXPECT_TRUE(answer.thinking_cut);
  EXPECT_EQ(answer.reasoning.rfind("Considering the limited time", 0), 0u) << answer.reasoning;
  EXPECT_EQ(std::count(events.begin(), events.end(), 'r'), answer.reasoning_tok);
  EXPECT_EQ(events.rfind("rR", 0), 0u) << events;
  EXPECT_LT(events.find_last_of('r'), events.find_first_of('t')) << events;
}

// An answer that is cut anywhere and continued is the answer in one piece.
TEST_F(Batch, AContinuedAnswerIsTheSame) {
  Engine engine = load(1, 1024, 512);
  for (const bool thinking : {false, true}) {
    GenerateOptions options;
    options.max_tok = 90;
    options.sampling.temperature = 1.0;
    options.sampling.seed = 4;
    options.sampling.top_logprobs = 2;
    options.sampling.frequency_penalty = 0.3;
    options.starts_in_thinking = thinking;
    options.thinking_budget_tok = 12;
    for (const char* tag : {"</think>", "<tool_call>"}) {  // the model never ends its thinking by itself
      options.sampling.logit_bias.emplace_back(*tokenizer_.find_added(tag), -100.0f);
    }
    const std::vector<int32_t> prompt = {100, 200, 300};
    auto session = engine.new_session();
    const auto whole = generate(*session, tokenizer_, prompt, options);
    ASSERT_TRUE(whole.ok());
    ASSERT_EQ(whole->thinking_cut, thinking);
    for (size_t kept = 1; kept < whole->tokens.size(); kept += 7) {
      std::vector<int32_t> longer = prompt;
      for (size_t i = 0; i < kept; ++i) longer.push_back(whole->tokens[i].id);
      options.resumed_tok = static_cast<int64_t>(kept);
      options.max_tok = 90 - options.resumed_tok;
      std::string text, reasoning;
      const auto rest = generate(*session, tokenizer_, longer, options, [&](const AnswerDelta& delta) {
        (delta.kind == AnswerDelta::Kind::kReasoning ? reasoning : text) += delta.text;
      });
      ASSERT_TRUE(rest.ok());
      ASSERT_EQ(rest->tokens.size(), whole->tokens.size() - kept);
      for (size_t i = 0; i < rest->tokens.size(); ++i) ASSERT_EQ(rest->tokens[i].id, whole->tokens[kept + i].id);
      EXPECT_EQ(rest->text, text);
      EXPECT_EQ(rest->reasoning, reasoning);
      EXPECT_TRUE(whole->reasoning.ends_with(rest->reasoning)) << rest->reasoning;
      EXPECT_LE(rest->reasoning_tok, whole->reasoning_tok);
      EXPECT_EQ(rest->thinking_cut, thinking) << kept;
    }
  }
}

TEST_F(Batch, CallbacksMayCancel) {
  Engine engine = load(1, 1024, 512);
  BatchGenerator batch(engine, tokenizer_, {});
  std::vector<int64_t> ended;
  int64_t seen = 0;
  for (int64_t id = 0; id < 3; ++id) {
    BatchGenerator::Job job;
    job.id = id;
    job.prompt = std::vector<int32_t>(5, static_cast<int32_t>(10 + id));
    job.options.max_tok = id == 2 ? 1 : 50;
    job.on_token = [&](const Sampled&, bool) {
      if (++seen == 3) {
        EXPECT_TRUE(batch.cancel(0));
      }
    };
    job.on_done = [&, id](Generation g) {
      ended.push_back(id);
      EXPECT_EQ(g.tokens.size(), 1u);
      if (id == 2) {
        EXPECT_TRUE(batch.cancel(1));
      }
    };
    ASSERT_TRUE(batch.submit(std::move(job)).ok());
  }
  ASSERT_TRUE(batch.step().ok());
  EXPECT_TRUE(batch.idle());
  EXPECT_EQ(ended, (std::vector<int64_t>{2, 0, 1}));
}

TEST_F(Batch, TheContextEndsAnAnswerInItsOwnWords) {
  std::vector<Wish> list = wishes(tokenizer_, 1);
  list[0].prompt.resize(60, 5);
  list[0].options = {};
  list[0].options.sampling.temperature = 0;
  list[0].options.sampling.top_logprobs = 2;
  list[0].options.parse_answer = false;
  const std::vector<Generation> expected = alone(list, 64);
  Engine engine = load(1, 64, 64);
  BatchGenerator batch(engine, tokenizer_, {});
  const std::map<int64_t, Generation> answers = together(batch, list, 0);
  ASSERT_TRUE(answers.at(0).context_full);
  EXPECT_EQ(answers.at(0).tokens.size(), 5u);
  expect_same(answers.at(0), expected[0], 0);
}

TEST_F(Batch, CancelGivesWhatThereIs) {
  Engine engine = load(1, 1024, 512);
  BatchGenerator batch(engine, tokenizer_, {.step_tok = 16});
  std::vector<Generation> ended;
  BatchGenerator::Job job;
  job.id = 3;
  job.prompt = std::vector<int32_t>(40, 9);
  job.on_done = [&](Generation g) { ended.push_back(std::move(g)); };
  ASSERT_TRUE(batch.submit(job).ok());
  ASSERT_TRUE(batch.step().ok());  // within the prompt
  EXPECT_TRUE(batch.cancel(3));
  EXPECT_FALSE(batch.cancel(3));
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].finish_reason, FinishReason::kCancelled);
  EXPECT_TRUE(ended[0].tokens.empty());
  EXPECT_TRUE(batch.idle());
  job.prompt[5] = 1 << 20;
  EXPECT_EQ(batch.submit(job).code(), ErrorCode::kBadInput);
  EXPECT_TRUE(batch.idle());
}

}  // namespace
}  // namespace bantam::engine
