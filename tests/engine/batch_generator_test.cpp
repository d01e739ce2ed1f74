// Many answers at once are the answers each request gets alone: tokens, log-probabilities and text, whatever arrives
// when, with and without remembered beginnings, with too few pages for all.
#include "engine/batch_generator.h"

#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"
#include "engine/generate.h"
#include "engine/nano.h"
#include "engine/runner.h"

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
    out.push_back(std::move(wish));
  }
  return out;
}

void expect_same(const Generation& a, const Generation& b, int64_t id) {
  EXPECT_EQ(a.text, b.text) << id;
  EXPECT_EQ(a.reasoning, b.reasoning) << id;
  EXPECT_EQ(a.finish_reason, b.finish_reason) << id;
  EXPECT_EQ(a.context_full, b.context_full) << id;
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
