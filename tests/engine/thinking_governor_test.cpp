// ThinkingGovernor on the house model's tokenizer: when it closes a thinking, with which tokens, and when it does not.
#include "engine/thinking_governor.h"

#include "engine/nano.h"

namespace bantam::engine {
namespace {

class ThinkingGovernorTest : public testing::Test {
 protected:
  std::vector<int32_t> ids(const std::string& text) const { return tokenizer_.encode(text, /*allow_added=*/true); }
  // Feeds thoughts until an id is forced. Returns how many were fed; -1: none was forced.
  int64_t feed(ThinkingGovernor& governor, const std::vector<int32_t>& thoughts) {
    for (size_t i = 0; i < thoughts.size(); ++i) {
      if (governor.forced() >= 0) return static_cast<int64_t>(i);
      governor.push(thoughts[i], true);
    }
    return governor.forced() >= 0 ? static_cast<int64_t>(thoughts.size()) : -1;
  }
  // Takes what is forced to the end.
  std::string close(ThinkingGovernor& governor) {
    std::vector<int32_t> forced;
    bool thinking = true;
    while (governor.forced() >= 0 && forced.size() < 200) {
      forced.push_back(governor.forced());
      thinking = thinking && forced.back() != *tokenizer_.find_added("</think>");
      governor.push(forced.back(), thinking);
    }
    return tokenizer_.decode(forced);
  }

  text::Tokenizer tokenizer_ = nano_tokenizer();
};

TEST_F(ThinkingGovernorTest, NoLimitNoWord) {
  ThinkingGovernor governor(tokenizer_, -1, false, true);
  EXPECT_EQ(feed(governor, std::vector<int32_t>(3000, 7)), -1);
  EXPECT_FALSE(governor.cut());
  EXPECT_EQ(governor.banned(), -1);
}

TEST_F(ThinkingGovernorTest, ZeroIsAtOnce) {
  ThinkingGovernor opened_in_prompt(tokenizer_, 0, true, true);
  EXPECT_EQ(close(opened_in_prompt), ThinkingGovernor::kPhrase);
  EXPECT_TRUE(opened_in_prompt.cut());
  EXPECT_EQ(opened_in_prompt.banned(), *tokenizer_.find_added("<think>"));

  ThinkingGovernor opened_by_model(tokenizer_, 0, true, false);
  EXPECT_EQ(opened_by_model.forced(), -1);
  opened_by_model.push(*tokenizer_.find_added("<think>"), true);
  EXPECT_EQ(close(opened_by_model), ThinkingGovernor::kPhrase);
}

TEST_F(ThinkingGovernorTest, ASentenceIsNotCutInTwo) {
  const std::vector<int32_t> first = ids("One two three four five six.");
  std::vector<int32_t> thoughts = first;
  for (int32_t id : ids(" And so on and on and on.")) thoughts.push_back(id);
  ThinkingGovernor governor(tokenizer_, 3, true, true);
  EXPECT_EQ(feed(governor, thoughts), static_cast<int64_t>(first.size()));
  EXPECT_EQ(close(governor), "\n\n" + std::string(ThinkingGovernor::kPhrase)) << "a line of its own";
}

TEST_F(ThinkingGovernorTest, ANumberIsNotASentence) {
  const std::vector<int32_t> thoughts = ids("It is 3.14 or so.\nNext");
  const int32_t newline = ids("\n")[0];
  ThinkingGovernor governor(tokenizer_, 0 + 1, true, true);
  const int64_t at = feed(governor, thoughts);
  ASSERT_GT(at, 0);
  const std::string before = tokenizer_.decode(std::span(thoughts).first(static_cast<size_t>(at)));
  EXPECT_EQ(before.rfind("It is 3.14 or so.", 0), 0u) << before << newline;
}

TEST_F(ThinkingGovernorTest, WithoutAnEndItIsCutAfterTheGrace) {
  const int32_t word = ids(" word")[0];
  ThinkingGovernor governor(tokenizer_, 10, false, true);
  EXPECT_EQ(feed(governor, std::vector<int32_t>(200, word)), 10 + ThinkingGovernor::kGraceTok);
  EXPECT_FALSE(governor.cut()) << "not before </think>";
  close(governor);
  EXPECT_TRUE(governor.cut());
  governor.push(*tokenizer_.find_added("<think>"), false);
  EXPECT_EQ(governor.forced(), -1) << "once per answer";
}

TEST_F(ThinkingGovernorTest, WhoEndsByHimselfIsLeftAlone) {
  ThinkingGovernor governor(tokenizer_, 5, true, true);
  feed(governor, std::vector<int32_t>(8, ids(" word")[0]));
  governor.push(*tokenizer_.find_added("</think>"), false);
  for (int32_t id : ids("\n\nThe answer is 4.\n")) {
    governor.push(id, false);
    EXPECT_EQ(governor.forced(), -1);
  }
  EXPECT_FALSE(governor.cut());
}

TEST_F(ThinkingGovernorTest, AContinuedAnswerGoesOnInThePhrase) {
  const std::vector<int32_t> thoughts = ids("One two three four five six.\n");
  ThinkingGovernor first(tokenizer_, 2, true, true);
  feed(first, thoughts);
  ASSERT_GE(first.forced(), 0);
  std::vector<int32_t> so_far = thoughts;
  for (int i = 0; i < 5; ++i) {
    so_far.push_back(first.forced());
    first.push(first.forced(), true);
  }
  ThinkingGovernor second(tokenizer_, 2, true, true);
  for (int32_t id : so_far) second.push(id, true);
  EXPECT_EQ(second.forced(), first.forced());
  EXPECT_EQ(close(second), close(first));

  // Chosen without a limit, continued with one: what is there stays, the end comes at the next place for it.
  ThinkingGovernor third(tokenizer_, 2, true, true);
  for (int i = 0; i < 3; ++i) {
    for (int32_t id : thoughts) third.push(id, true);
  }
  EXPECT_EQ(close(third), ThinkingGovernor::kPhrase);
}

// 0 1 2 ... period - 1, again and again.
std::vector<int32_t> cycle(int64_t period, int64_t tok) {
  std::vector<int32_t> out;
  for (int64_t i = 0; i < tok; ++i) out.push_back(static_cast<int32_t>(1000 + i % period));
  return out;
}

TEST_F(ThinkingGovernorTest, CyclesOfTokensAreEnded) {
  for (const int64_t period : {1, 2, 7, 64, 255, 256}) {
    ThinkingGovernor governor(tokenizer_, -1, true, true);
    const int64_t at = feed(governor, cycle(period, 6 * period + 400));
    ASSERT_GT(at, 0) << period;
    EXPECT_GE(at, std::max<int64_t>(96, 4 * period)) << "not too early";
    EXPECT_LE(at, std::max<int64_t>(96, 3 * period) + period + ThinkingGovernor::kGraceTok) << period;
    close(governor);
    EXPECT_TRUE(governor.cut());
    ThinkingGovernor patient(tokenizer_, -1, false, true);
    EXPECT_EQ(feed(patient, cycle(period, 6 * period + 400)), -1) << "switched off";
  }
}

TEST_F(ThinkingGovernorTest, CyclesOfLinesAreEnded) {
  std::vector<int32_t> going_round, going_on;
  for (int i = 0; i < 60; ++i) {
    const std::string number = std::to_string(i);
    for (int32_t id : ids("Wait, let me check that again.\n" + number + "\nHmm, but the other one is not it.\n")) {
      going_round.push_back(id);
    }
    for (int32_t id : ids("Case " + number + " gives " + std::to_string(i * i) + ", fine.\n")) going_on.push_back(id);
  }
  ThinkingGovernor round(tokenizer_, -1, true, true);
  EXPECT_GT(feed(round, going_round), 0);
  ThinkingGovernor on(tokenizer_, -1, true, true);
  EXPECT_EQ(feed(on, going_on), -1) << "lines alike are not the same lines";
}

}  // namespace
}  // namespace bantam::engine
