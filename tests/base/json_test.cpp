// The JSON tree: what Python's json keeps, we keep; what it refuses, we refuse.
#include "base/json.h"

#include <gtest/gtest.h>

namespace bantam {
namespace {

std::string round_trip(std::string_view text) {
  auto v = parse_json(text);
  return v.ok() ? to_json(*v) : "error: " + std::string(v.status().message());
}

TEST(Json, MostValues) {
  const std::string text = R"({"a": [1, 2], "b": null})";  // the object, the array, two numbers, null
  EXPECT_TRUE(parse_json(text, "body", 5).ok());
  const auto more = parse_json(text, "body", 4);
  ASSERT_FALSE(more.ok());
  EXPECT_EQ(more.status().message(), "body: expected at most 4 JSON values");
}

TEST(Json, KeepsOrderAndRawNumbers) {
  EXPECT_EQ(round_trip(R"( {"b": 1e5, "a": [1.0, -0, 123456789012345678901234567890]} )"),
            R"({"b":1e5,"a":[1.0,-0,123456789012345678901234567890]})");
}
TEST(Json, DuplicateKeyKeepsLastValueAtFirstPlace) {
  EXPECT_EQ(round_trip(R"({"a":1,"b":2,"a":3})"), R"({"a":3,"b":2})");
  std::string large = "{";
  for (int i = 0; i < 40; ++i) large += fmt::format("\"k{}\":{},", i, i);
  auto v = parse_json(large + "\"k20\":\"late\"}");
  ASSERT_TRUE(v.ok());
  EXPECT_EQ(v->members().size(), 40u);
  EXPECT_EQ(v->find("k20")->as_string(), "late");
}
TEST(Json, RefusesDamage) {
  for (const char* bad : {"", "{", "[1,]", "{\"a\"}", "[1 2]", "nul", "[01]", "[1.]", "[+1]", "[NaN]", "{} x", "[\"a]",
                          "[\"\\u12\"]", "\"\x01\"", "[1]]", "{\"a\":1,}"}) {
    EXPECT_FALSE(parse_json(bad).ok()) << bad;
  }
}
TEST(Json, DepthIsCapped) {
  EXPECT_TRUE(parse_json(std::string(100, '[') + std::string(100, ']')).ok());
  EXPECT_FALSE(parse_json(std::string(100000, '[') + std::string(100000, ']')).ok());
}
TEST(Json, ScalarsAtTheRoot) {
  EXPECT_EQ(round_trip(" \"a\\n\\u00e9\" "), "\"a\\n\xC3\xA9\"");
  EXPECT_EQ(round_trip("-1.5e-7"), "-1.5e-7");
  EXPECT_EQ(round_trip("true"), "true");
}
TEST(Json, WriterNeverEmitsBrokenUtf8) {
  std::string out;
  append_json_string(&out, "a\xC3(\xED\xA0\x80\xF0\x9F\x98\x80\x01");
  EXPECT_EQ(out, "\"a\xEF\xBF\xBD(\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xF0\x9F\x98\x80\\u0001\"");
}
TEST(Json, Integers) {
  EXPECT_EQ(*parse_json("-9223372036854775808")->as_int64(), INT64_MIN);
  EXPECT_FALSE(parse_json("9223372036854775808")->as_int64().ok());
  EXPECT_FALSE(parse_json("1.0")->as_int64().ok());
}

}  // namespace
}  // namespace bantam
