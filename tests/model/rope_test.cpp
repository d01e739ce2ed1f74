// Rotary frequencies against transformers (tests/golden/model/rope.json), and YaRN by requested context.
#include "model/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "base/json.h"
#include "base/mmap.h"
#include "support.h"

namespace bantam::model {
namespace {

// A Qwen3 whose rotary fields come from `row`, through the config parser.
Config config_of(const JsonValue& row) {
  JsonValue json = config_to_json(named_config("qwen3-4b").value(), "bfloat16");
  json.set("head_dim", *row.find("head_dim"));
  json.set("rope_theta", *row.find("rope_theta"));
  json.set("rope_scaling", *row.find("rope_scaling"));
  return config_from_json(json).value();
}

TEST(RopeTest, FrequenciesEqualTheReference) {
  const JsonValue rows = parse_json(read_file(golden_dir() + "/rope.json").value(), "rope.json").value();
  ASSERT_GE(rows.items().size(), 10u);
  for (const JsonValue& row : rows.items()) {
    const Config c = config_of(row);
    const Rope rope = make_rope(c, 32768).value();
    const auto& expected = row.find("inv_freq")->items();
    ASSERT_EQ(rope.inv_freq.size(), expected.size());
    int differing = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      // torch's vector pow misses the correctly rounded power, which ours is, by one ulp here and there; scaling and
      // inverting spread that over at most 2^-22 of the value.
      const float e = static_cast<float>(expected[i].as_double().value());
      EXPECT_LE(std::abs(rope.inv_freq[i] - e), e * 0x1p-22f) << to_json(row).substr(0, 160) << " at " << i;
      differing += rope.inv_freq[i] != e;
    }
    EXPECT_LE(differing, 4) << to_json(row).substr(0, 160);
    EXPECT_FLOAT_EQ(rope.attention_factor, static_cast<float>(row.find("attention_factor")->as_double().value()));
  }
}

TEST(RopeTest, YarnFollowsTheRequestedContext) {
  const Config hybrid = named_config("qwen3-4b").value();
  EXPECT_EQ(native_context(hybrid), 40960);
  EXPECT_EQ(max_context(hybrid), 131072);
  const Rope plain = make_rope(hybrid, 40960).value();
  EXPECT_EQ(plain.yarn_factor, 1);
  EXPECT_EQ(plain.attention_factor, 1.0f);
  EXPECT_EQ(make_rope(hybrid, 4096).value().inv_freq, plain.inv_freq);

  // The model card's recipe for 131,072: factor 4 over 32,768.
  Config card = hybrid;
  card.rope_scaling = RopeScaling{RopeScaling::Type::kYarn, 4.0, 32768};
  const Rope four = make_rope(hybrid, 131072).value();
  EXPECT_EQ(four.yarn_factor, 4.0);
  EXPECT_EQ(four.inv_freq, make_rope(card, 131072).value().inv_freq);
  EXPECT_FLOAT_EQ(four.attention_factor, static_cast<float>(0.1 * std::log(4.0) + 1));
  EXPECT_EQ(make_rope(hybrid, 65536).value().yarn_factor, 2.0);
  // A factor in the config is static, as in the reference.
  EXPECT_EQ(make_rope(card, 1024).value().yarn_factor, 4.0);
  EXPECT_EQ(native_context(card), 131072);

  const Config long_native = named_config("qwen3-4b-2507").value();
  EXPECT_EQ(make_rope(long_native, 262144).value().yarn_factor, 1);
  EXPECT_EQ(make_rope(long_native, 524288).value().yarn_factor, 2.0);
}

TEST(RopeTest, ContextsBeyondReachAreErrors) {
  const Config hybrid = named_config("qwen3-4b").value();
  EXPECT_FALSE(make_rope(hybrid, 131073).ok());
  EXPECT_FALSE(make_rope(hybrid, 0).ok());
  EXPECT_FALSE(make_rope(hybrid, -1).ok());
  EXPECT_EQ(make_rope(hybrid, 200000).status().code(), ErrorCode::kUsage);
}

}  // namespace
}  // namespace bantam::model
