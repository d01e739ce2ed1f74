// The scheduler with a made-up model: the next token is a hash of all tokens before it, and a page remembers which
// tokens were written into it, so that a wrong page, a stale one, a copy not made or a lost token changes an answer.
#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <set>

namespace bantam::engine {
namespace {

constexpr int64_t kPage = 4;

int32_t next_token(std::span<const int32_t> tokens) {
  uint32_t hash = 2166136261u;
  for (int32_t token : tokens) hash = (hash ^ static_cast<uint32_t>(token)) * 16777619u;
  return static_cast<int32_t>(hash % 50);
}

// What a request answers when it is alone.
std::vector<int32_t> alone(std::vector<int32_t> tokens, int64_t new_tok) {
  std::vector<int32_t> out;
  for (int64_t i = 0; i < new_tok; ++i) {
    out.push_back(next_token(tokens));
    tokens.push_back(out.back());
  }
  return out;
}

class MadeUpModel {
 public:
  MadeUpModel(SchedulerOptions options, int64_t pages)
      : allocator_(pages), scheduler_(fill(options), &allocator_), rows_(options.rows > 0 ? options.rows : 1 << 20) {
    memory_.assign(static_cast<size_t>(pages * kPage), -1);
  }

  Scheduler& scheduler() { return scheduler_; }
  PageAllocator& allocator() { return allocator_; }

  enum class Wants { kAnswer, kRowsToo, kHidden };
  int64_t submit(const std::string& owner, std::vector<int32_t> prompt, int64_t new_tok, Wants wants = Wants::kAnswer) {
    const int64_t id = next_id_++;
    EXPECT_TRUE(scheduler_.submit({id, owner, prompt, wants == Wants::kRowsToo, wants == Wants::kHidden}).ok());
    if (wants != Wants::kAnswer) unseen_[id] = std::set<int64_t>();
    for (int64_t at = 0; wants != Wants::kAnswer && at < static_cast<int64_t>(prompt.size()); ++at) {
      unseen_[id].insert(at);
    }
    wants_[id] = wants;
    wanted_[id] = new_tok;
    expected_[id] = alone(std::move(prompt), new_tok);
    return id;
  }
  // False when the request has ended already.
  bool cancel(int64_t id) {
    if (!scheduler_.cancel(id)) return false;
    expected_.erase(id);
    answers_.erase(id);
    unseen_.erase(id);
    EXPECT_TRUE(scheduler_.check_integrity());
    return true;
  }

  // One forward. Returns the tokens fed, by request.
  std::map<int64_t, int64_t> step() {
    std::map<int64_t, int64_t> fed;
    std::vector<Scheduler::Choice> choices;
    int64_t rows = 0;
    const std::span<const Scheduler::Part> parts = scheduler_.begin_step();
    for (const Scheduler::Part& part : parts) copy_page(part);
    for (const Scheduler::Part& part : parts) {
      EXPECT_TRUE(fed.emplace(part.id, part.tokens.size()).second) << "two parts of one request";
      EXPECT_EQ(static_cast<int64_t>(part.pages.size()),
                (part.start + static_cast<int64_t>(part.tokens.size()) + kPage - 1) / kPage);
      for (size_t i = 0; i < part.tokens.size(); ++i) {
        const int64_t at = part.start + static_cast<int64_t>(i);
        const int32_t page = part.pages[static_cast<size_t>(at / kPage)];
        EXPECT_EQ(allocator_.references(page), 1) << "written while somebody else reads it";
        memory_[static_cast<size_t>(page * kPage + at % kPage)] = part.tokens[i];
      }
      see(part);
      rows += part.all_rows ? static_cast<int64_t>(part.tokens.size()) : part.wants_token ? 1 : 0;
      if (part.wants_token) choices.push_back(choose(part));
    }
    EXPECT_LE(rows, rows_);
    if (!fed.empty()) scheduler_.end_step(choices);
    EXPECT_TRUE(scheduler_.check_integrity());
    return fed;
  }
  void run() {
    for (int steps = 0; !scheduler_.idle(); ++steps) {
      ASSERT_LT(steps, 100000);
      ASSERT_FALSE(step().empty()) << "requests wait and nothing is done";
    }
    EXPECT_EQ(answers_, expected_);
    for (const auto& [id, unseen] : unseen_) EXPECT_TRUE(unseen.empty()) << "rows of " << id << " are missing";
  }
  const std::map<int64_t, std::vector<int32_t>>& answers() const { return answers_; }
  int64_t copies() const { return copies_; }

 private:
  static SchedulerOptions fill(SchedulerOptions options) {
    options.page_tok = kPage;
    if (options.context_tok == 0) options.context_tok = 1000;
    return options;
  }
  void copy_page(const Scheduler::Part& part) {
    if (part.copy_from < 0) return;
    EXPECT_NE(part.start % kPage, 0) << "nothing of the copy is used";
    const int32_t to = part.pages[static_cast<size_t>(part.start / kPage)];
    EXPECT_EQ(allocator_.references(to), 1);
    EXPECT_GE(allocator_.references(part.copy_from), 1);
    EXPECT_NE(part.copy_from, to);
    for (int64_t i = 0; i < kPage; ++i) {
      memory_[static_cast<size_t>(to * kPage + i)] = memory_[static_cast<size_t>(part.copy_from * kPage + i)];
    }
    ++copies_;
  }
  // Rows and hidden states: each of a prompt's tokens, each row once.
  void see(const Scheduler::Part& part) {
    if (wants_[part.id] == Wants::kAnswer) {
      EXPECT_FALSE(part.all_rows);
      return;
    }
    for (int64_t i = 0; i < static_cast<int64_t>(part.tokens.size()); ++i) {
      const bool is_new = unseen_[part.id].erase(part.start + i) == 1;
      if (wants_[part.id] == Wants::kRowsToo) {
        EXPECT_EQ(part.all_rows, is_new) << part.start + i;
      }
    }
  }
  Scheduler::Choice choose(const Scheduler::Part& part) {
    std::vector<int32_t> seen;  // from the pages, as attention would read them
    for (int64_t at = 0; at < part.start + static_cast<int64_t>(part.tokens.size()); ++at) {
      seen.push_back(memory_[static_cast<size_t>(part.pages[static_cast<size_t>(at / kPage)] * kPage + at % kPage)]);
    }
    std::vector<int32_t>& answer = answers_[part.id];
    answer.push_back(next_token(seen));
    return {answer.back(), static_cast<int64_t>(answer.size()) == wanted_[part.id]};
  }

  PageAllocator allocator_;
  Scheduler scheduler_;
  std::vector<int32_t> memory_;
  int64_t rows_, copies_ = 0;
  std::map<int64_t, int64_t> wanted_;
  std::map<int64_t, Wants> wants_;
  std::map<int64_t, std::set<int64_t>> unseen_;  // positions whose rows or states did not come yet
  std::map<int64_t, std::vector<int32_t>> answers_, expected_;
  int64_t next_id_ = 1;
};

std::vector<int32_t> prompt(int32_t seed, int64_t tok) {
  std::mt19937 random(static_cast<uint32_t>(seed));
  std::vector<int32_t> out;
  for (int64_t i = 0; i < tok; ++i) out.push_back(static_cast<int32_t>(random() % 50));
  return out;
}

TEST(Scheduler, OneRequest) {
  MadeUpModel model({.step_tok = 8}, 16);
  model.submit("a", prompt(1, 21), 5);
  EXPECT_EQ(model.step(), (std::map<int64_t, int64_t>{{1, 8}}));
  model.run();
  EXPECT_EQ(model.scheduler().counts().remembered_pages, 7);  // 25 tokens were fed
}

TEST(Scheduler, ALongPromptDoesNotStallWhoDecodes) {
  MadeUpModel model({.step_tok = 16, .prefill_tok = 4}, 64);
  const int64_t quick = model.submit("a", prompt(1, 3), 40);
  model.step();
  const int64_t slow = model.submit("b", prompt(2, 60), 2);
  for (int i = 0; i < 15; ++i) {
    EXPECT_EQ(model.step(), (std::map<int64_t, int64_t>{{quick, 1}, {slow, 4}}));
  }
  model.run();
}

TEST(Scheduler, SharesWhatWasComputedBeforeWithinAnOwner) {
  MadeUpModel model({.step_tok = 64}, 64);
  model.submit("a", prompt(1, 20), 1);
  model.run();
  const int64_t same = model.submit("a", prompt(1, 20), 1);
  const int64_t other = model.submit("b", prompt(1, 20), 1);
  // The last token is always fed.
  EXPECT_EQ(model.step(), (std::map<int64_t, int64_t>{{same, 1}, {other, 20}}));
  model.run();
}

TEST(Scheduler, ATurnCostsItsNewTokens) {
  MadeUpModel model({.step_tok = 64}, 64);
  std::vector<int32_t> turn = prompt(1, 9);
  for (int i = 0; i < 12; ++i) {
    const int64_t id = model.submit("a", turn, 3 + i % 5);
    const auto fresh = static_cast<int64_t>(i == 0 ? turn.size() : 3);
    EXPECT_EQ(model.step(), (std::map<int64_t, int64_t>{{id, fresh}})) << i;
    model.run();
    // The last token that was chosen was not fed; it is one of the next turn's new ones.
    turn.insert(turn.end(), model.answers().at(id).begin(), model.answers().at(id).end());
    turn.push_back(1);
    turn.push_back(2);
  }
  EXPECT_GT(model.copies(), 6);
}

TEST(Scheduler, APageIsCopiedWhereTwoPartWays) {
  MadeUpModel model({.step_tok = 64}, 64);
  std::vector<int32_t> left = prompt(1, 20), right = left;
  right[10] = left[10] + 1;
  model.submit("a", left, 1);
  model.run();
  const int64_t other = model.submit("a", right, 1);
  EXPECT_EQ(model.step(), (std::map<int64_t, int64_t>{{other, 10}}));
  const int64_t first = model.submit("a", left, 1), second = model.submit("a", right, 1);
  EXPECT_EQ(model.step(), (std::map<int64_t, int64_t>{{first, 1}, {second, 1}}));
  model.run();
  EXPECT_EQ(model.copies(), 3);
}

TEST(Scheduler, WhatACancelledRequestComputedStays) {
  MadeUpModel model({.step_tok = 10}, 64);
  const int64_t id = model.submit("a", prompt(1, 30), 5);
  model.step();
  EXPECT_TRUE(model.cancel(id));
  const int64_t again = model.submit("a", prompt(1, 15), 5);
  EXPECT_EQ(model.step(), (std::map<int64_t, int64_t>{{again, 5}}));
  model.run();
}

// The page a request would have copied is the last one there is: it goes without the copy.
TEST(Scheduler, ACopyGivesWayToTheRequestItself) {
  for (int64_t known = 1; known < 20; ++known) {
    MadeUpModel model({.step_tok = 32}, 5);
    model.submit("a", prompt(1, known), 1);
    model.run();
    model.submit("a", prompt(1, 20), 1);
    model.run();
    model.submit("a", prompt(2, 19), 2);
    model.submit("a", prompt(1, 17), 3);
    model.run();
  }
}

TEST(Scheduler, OfSeveralAtOnceTheFirstComputesTheirBeginning) {
  MadeUpModel model({.step_tok = 20}, 64);
  for (int i = 0; i < 3; ++i) model.submit("a", prompt(1, 20), 1);
  EXPECT_EQ(model.step(), (std::map<int64_t, int64_t>{{1, 20}}));
  EXPECT_EQ(model.step(), (std::map<int64_t, int64_t>{{2, 1}, {3, 1}}));
  model.run();
}

TEST(Scheduler, NothingIsSharedWhenTheCacheIsOff) {
  MadeUpModel model({.step_tok = 64, .prefix_cache = false}, 64);
  model.submit("a", prompt(1, 20), 1);
  model.run();
  model.submit("a", prompt(1, 20), 1);
  EXPECT_EQ(model.step(), (std::map<int64_t, int64_t>{{2, 20}}));
  EXPECT_EQ(model.allocator().free_pages(), 64);
}

TEST(Scheduler, TurnsGoByTokensServed) {
  MadeUpModel model({.step_tok = 8, .running = 1}, 64);
  for (int i = 0; i < 6; ++i) model.submit("greedy", prompt(i, 8), 1);
  const int64_t modest = model.submit("modest", prompt(9, 8), 1);
  model.step();
  EXPECT_EQ(model.step().begin()->first, modest) << "five of the other's stand before it in time, none in turn";
  model.run();
}

TEST(Scheduler, TheYoungestGivesWayWhenPagesRunOut) {
  MadeUpModel model({.step_tok = 32}, 6);
  model.submit("a", prompt(1, 8), 12);
  model.submit("a", prompt(2, 8), 12);
  model.run();
  EXPECT_GT(model.scheduler().counts().preemptions, 0);
}

TEST(Scheduler, ARequestMayFillEveryPage) {
  MadeUpModel model({.step_tok = 32}, 5);
  EXPECT_EQ(model.scheduler().limit_tok(), 20);
  model.submit("a", prompt(1, 10), 10);
  model.submit("a", prompt(2, 10), 10);
  model.run();
}

TEST(Scheduler, Refusals) {
  PageAllocator pages(4);
  Scheduler scheduler({.queue = 2, .context_tok = 12, .page_tok = kPage}, &pages);
  EXPECT_EQ(scheduler.submit({1, "a", {}}).code(), ErrorCode::kUsage);
  EXPECT_EQ(scheduler.submit({1, "a", prompt(1, 13)}).code(), ErrorCode::kContextFull);
  EXPECT_TRUE(scheduler.submit({1, "a", prompt(1, 12)}).ok());
  EXPECT_EQ(scheduler.submit({1, "a", prompt(1, 1)}).code(), ErrorCode::kUsage);
  EXPECT_TRUE(scheduler.submit({2, "a", prompt(1, 1)}).ok());
  EXPECT_EQ(scheduler.submit({3, "a", prompt(1, 1)}).code(), ErrorCode::kBusy);
  EXPECT_FALSE(scheduler.cancel(3));
  EXPECT_TRUE(scheduler.check_integrity());
}

TEST(Scheduler, RowsOfAPromptComeInBoundedPiecesAndOnce) {
  using Wants = MadeUpModel::Wants;
  MadeUpModel model({.step_tok = 32, .prefill_tok = 16, .running = 4, .rows = 6}, 64);
  model.submit("a", prompt(1, 20), 1);
  model.run();
  const int64_t rows = model.submit("a", prompt(1, 20), 3, Wants::kRowsToo);
  EXPECT_EQ(model.step(), (std::map<int64_t, int64_t>{{rows, 6}})) << "from the beginning, though it is known";
  const int64_t other = model.submit("a", prompt(2, 9), 9);
  EXPECT_EQ(model.step(), (std::map<int64_t, int64_t>{{rows, 6}, {other, 8}})) << "no row is left for its last token";
  const int64_t hidden = model.submit("a", prompt(1, 20), 1, Wants::kHidden);
  EXPECT_EQ(model.step(), (std::map<int64_t, int64_t>{{rows, 5}, {other, 1}, {hidden, 11}}));
  model.run();
}

TEST(Scheduler, ALastTokenCountsAsARow) {
  using Wants = MadeUpModel::Wants;
  MadeUpModel model({.step_tok = 64, .running = 2, .rows = 2}, 64);
  model.submit("a", prompt(1, 7), 4, Wants::kRowsToo);
  model.submit("a", prompt(2, 7), 4, Wants::kRowsToo);
  model.run();
}

TEST(Scheduler, RowsAreNotWantedAgainAfterGivingWay) {
  using Wants = MadeUpModel::Wants;
  MadeUpModel model({.step_tok = 32, .rows = 64}, 6);
  model.submit("a", prompt(1, 8), 12);
  model.submit("a", prompt(2, 8), 12, Wants::kRowsToo);
  model.run();
  EXPECT_GT(model.scheduler().counts().preemptions, 0);
}

TEST(Scheduler, TokensThatWaitAreLimited) {
  PageAllocator pages(64);
  Scheduler scheduler({.total_tok = 20, .context_tok = 100, .page_tok = kPage}, &pages);
  EXPECT_TRUE(scheduler.submit({1, "a", prompt(1, 30)}).ok()) << "alone";
  EXPECT_EQ(scheduler.submit({2, "a", prompt(1, 1)}).code(), ErrorCode::kBusy);
  EXPECT_TRUE(scheduler.cancel(1));
  EXPECT_TRUE(scheduler.submit({2, "a", prompt(1, 10)}).ok());
  EXPECT_TRUE(scheduler.submit({3, "b", prompt(1, 10)}).ok());
  EXPECT_EQ(scheduler.counts().waiting_tok, 20);
  const Status refused = scheduler.submit({4, "b", prompt(1, 1)});
  EXPECT_EQ(refused.message(), "the queue is full: 20 tokens are waiting, 1 more make it more than 20");
  EXPECT_TRUE(scheduler.check_integrity());
}

TEST(Scheduler, CountsWhatWasDone) {
  MadeUpModel model({.step_tok = 64}, 64);
  model.submit("a", prompt(1, 20), 3);
  model.run();
  model.submit("a", prompt(1, 20), 3);
  model.run();
  const Scheduler::Counts counts = model.scheduler().counts();
  EXPECT_EQ(counts.prompt_tok, 40);
  EXPECT_EQ(counts.cache_hit_tok, 19);
  EXPECT_EQ(counts.generated_tok, 6);
  EXPECT_EQ(counts.steps, 6);
  EXPECT_EQ(counts.total_pages, 64);
}

TEST(Scheduler, CancelInEveryState) {
  MadeUpModel model({.step_tok = 8, .running = 2}, 32);
  const int64_t decoding = model.submit("a", prompt(1, 4), 9);
  const int64_t reading = model.submit("a", prompt(2, 30), 9);
  const int64_t waiting = model.submit("a", prompt(3, 4), 9);
  model.step();
  EXPECT_TRUE(model.cancel(waiting));
  EXPECT_TRUE(model.cancel(reading));
  EXPECT_TRUE(model.cancel(decoding));
  EXPECT_TRUE(model.scheduler().idle());
  EXPECT_EQ(model.allocator().free_pages() + model.scheduler().counts().remembered_pages, 32);
}

// Random arrivals, lengths, owners, shared beginnings and cancels, with plenty of pages and with far too few.
TEST(Scheduler, RandomLoadAnswersAsAlone) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](uint32_t n) { return static_cast<int64_t>(random() % n); };
    MadeUpModel model({.step_tok = 1 + below(40),
                       .prefill_tok = 1 + below(12),
                       .running = 1 + below(8),
                       .queue = 1000,
                       .rows = 8 + below(20),
                       .context_tok = 60,
                       .prefix_cache = below(4) != 0},
                      15 + below(60));
    std::vector<int64_t> ids;
    for (int i = 0; i < 60; ++i) {
      std::vector<int32_t> tokens = prompt(static_cast<int32_t>(below(4)), 4 + below(20));
      for (int64_t k = below(12); k > 0; --k) tokens.push_back(static_cast<int32_t>(below(50)));
      const auto wants = std::array{MadeUpModel::Wants::kAnswer, MadeUpModel::Wants::kAnswer,
                                    MadeUpModel::Wants::kRowsToo, MadeUpModel::Wants::kHidden};
      ids.push_back(model.submit(std::string(1, static_cast<char>('a' + below(3))), tokens, 1 + below(20),
                                 wants[static_cast<size_t>(below(4))]));
      for (int64_t k = below(4); k > 0; --k) model.step();
      if (below(5) == 0) {
        model.cancel(ids[static_cast<size_t>(below(static_cast<uint32_t>(ids.size())))]);
      }
    }
    model.run();
  }
}

}  // namespace
}  // namespace bantam::engine
