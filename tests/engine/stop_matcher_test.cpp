// StopMatcher: the same answer however the text is cut into pieces.
#include "engine/stop_matcher.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace bantam::engine {
namespace {

// The reference: the whole text at once, cut before the earliest stop string.
std::string expected(const std::string& text, const std::vector<std::string>& stops, bool* stopped) {
  size_t first = std::string::npos;
  for (const std::string& stop : stops) {
    if (!stop.empty()) first = std::min(first, text.find(stop));
  }
  *stopped = first != std::string::npos;
  return *stopped ? text.substr(0, first) : text;
}

TEST(StopMatcher, EverySplitGivesTheSame) {
  const std::vector<std::vector<std::string>> stop_sets = {{},
                                                           {""},
                                                           {"b"},
                                                           {"ab"},
                                                           {"aab"},
                                                           {"abab", "ba"},
                                                           {"END", "\n\n"},
                                                           {"aaaa"},
                                                           {"c", "bc", "abc"},
                                                           {"\xE2\x82\xAC"}};
  const std::vector<std::string> texts = {"",         "aaab",  "aabaab", "ababab", "one END two",     "x\n\ny",
                                          "aaaaaaab", "zabcz", "ENEND",  "\n",     "1 \xE2\x82\xAC 2"};
  for (const auto& stops : stop_sets) {
    for (const std::string& text : texts) {
      bool stops_there = false;
      const std::string want = expected(text, stops, &stops_there);
      // Every way to cut the text into pieces.
      const size_t cuts = text.empty() ? 0 : text.size() - 1;
      for (size_t mask = 0; mask < size_t{1} << cuts; ++mask) {
        StopMatcher matcher(stops);
        std::string got;
        size_t begin = 0;
        for (size_t i = 1; i <= text.size() && !matcher.stopped(); ++i) {
          if (i < text.size() && (mask >> (i - 1) & 1) == 0) continue;
          got += matcher.push(text.substr(begin, i - begin));
          ASSERT_TRUE(want.starts_with(got)) << "showed what it should have held back";
          begin = i;
        }
        got += matcher.finish();
        ASSERT_EQ(got, want) << "text " << text << " mask " << mask;
        ASSERT_EQ(matcher.stopped(), stops_there);
        if (stops_there) {
          EXPECT_EQ(matcher.push("more"), "");
        }
      }
    }
  }
}

TEST(StopMatcher, HoldsBackOnlyWhatMayBecomeAStop) {
  StopMatcher matcher({"STOP"});
  EXPECT_EQ(matcher.push("abcST"), "abc");
  EXPECT_EQ(matcher.push("x"), "STx");
  EXPECT_EQ(matcher.push("S"), "");
  EXPECT_EQ(matcher.finish(), "S");
}

}  // namespace
}  // namespace bantam::engine
