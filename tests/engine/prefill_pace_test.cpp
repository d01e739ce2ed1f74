// The pace of prompts beside answers, against a made-up machine whose step takes 10 ms and 0.5 ms per prompt token.
#include "engine/prefill_pace.h"

#include <gtest/gtest.h>

namespace bantam::engine {
namespace {

double step_ms(int64_t prefill_tok) {
  return 10 + 0.5 * static_cast<double>(prefill_tok);
}

TEST(PrefillPace, FindsWhatFits) {
  PrefillPace pace(512, 2.0);
  for (int i = 0; i < 50; ++i) pace.observe(8, 0, step_ms(0));
  for (int i = 0; i < 200; ++i) pace.observe(8, pace.tok(), step_ms(pace.tok()));
  EXPECT_LE(step_ms(pace.tok()), 2.0 * step_ms(0) + 2);
  EXPECT_GE(pace.tok(), 12);
}

TEST(PrefillPace, GivesWayWhenTheMachineSlowsDownButNeverStops) {
  PrefillPace pace(512, 2.0);
  for (int i = 0; i < 50; ++i) pace.observe(8, 0, step_ms(0));
  for (int i = 0; i < 100; ++i) pace.observe(8, pace.tok(), 1000);
  EXPECT_EQ(pace.tok(), 4);
  for (int i = 0; i < 200; ++i) pace.observe(8, pace.tok(), step_ms(pace.tok()));
  EXPECT_GE(pace.tok(), 12);
}

TEST(PrefillPace, NeverBeyondTheMostAndUnmovedWhereNobodyWaits) {
  PrefillPace pace(40, 2.0);
  for (int i = 0; i < 50; ++i) pace.observe(8, 0, 10);
  for (int i = 0; i < 200; ++i) pace.observe(8, pace.tok(), 10.5);
  EXPECT_EQ(pace.tok(), 40);
  PrefillPace careless(128, 0);
  for (int i = 0; i < 50; ++i) careless.observe(8, 128, 1e6);
  EXPECT_EQ(careless.tok(), 128);
  const int64_t before = pace.tok();
  for (int i = 0; i < 50; ++i) pace.observe(0, 512, 1e6);
  EXPECT_EQ(pace.tok(), before);
}

}  // namespace
}  // namespace bantam::engine
