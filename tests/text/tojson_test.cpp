// Python's spelling of JSON values, against what CPython 3.11 prints.
#include "text/tojson.h"

#include <gtest/gtest.h>

namespace bantam::text {
namespace {

JsonValue parse(std::string_view text) {
  auto value = parse_json(text);
  EXPECT_TRUE(value.ok()) << text;
  return value.ok() ? std::move(value).value() : JsonValue();
}

std::string dumped(std::string_view text) {
  std::string out;
  append_python_json(&out, parse(text));
  return out;
}

std::string shown(std::string_view text) {
  std::string out;
  append_python_str(&out, parse(text));
  return out;
}

TEST(PythonJson, Numbers) {
  const std::pair<const char*, const char*> kCases[] = {
      {"0", "0"},
      {"-0", "0"},
      {"-7", "-7"},
      {"123456789012345678901234567890", "123456789012345678901234567890"},
      {"0.0", "0.0"},
      {"-0.0", "-0.0"},
      {"-0e5", "-0.0"},
      {"1e5", "100000.0"},
      {"1E400", "Infinity"},
      {"-1e400", "-Infinity"},
      {"-1e-400", "-0.0"},
      {"0e99999999999999999999", "0.0"},
      {"1e99999999999999999999", "Infinity"},
      {"1e-99999999999999999999", "0.0"},
      {"1e-7", "1e-07"},
      {"0.0001", "0.0001"},
      {"0.00001", "1e-05"},
      {"1e15", "1000000000000000.0"},
      {"1e16", "1e+16"},
      {"123456789012345680.0", "1.2345678901234568e+17"},
      {"1.5e300", "1.5e+300"},
      {"5e-324", "5e-324"},
      {"2e-324", "0.0"},
      {"1.7976931348623157e308", "1.7976931348623157e+308"},
      {"1.7976931348623159e308", "Infinity"},
      {"0.30000000000000004", "0.30000000000000004"},
      {"9007199254740993.0", "9007199254740992.0"},
      {"1.10", "1.1"},
      {"1.0E+2", "100.0"},
  };
  for (const auto& [text, want] : kCases) EXPECT_EQ(dumped(text), want) << text;
  EXPECT_EQ(dumped("1" + std::string(400, '0') + ".0"), "Infinity");
  EXPECT_EQ(dumped("0." + std::string(400, '0') + "1e402"), "10.0");
}

TEST(PythonJson, StringsEscapeOnlyWhatPythonDoes) {
  EXPECT_EQ(dumped(R"("\b\f\n\r\t\u0000\u001f\u007f\"\\\/é\ud83d\ude00\u2028")"),
            "\"\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\\\"\\\\/é😀\xE2\x80\xA8\"");
}

TEST(PythonJson, Containers) {
  EXPECT_EQ(dumped(R"({"b":[],"a":{},"c":[1,null,true,{"x":false}]})"),
            R"({"b": [], "a": {}, "c": [1, null, true, {"x": false}]})");
}

TEST(PythonStr, Scalars) {
  EXPECT_EQ(shown("null"), "None");
  EXPECT_EQ(shown("true"), "True");
  EXPECT_EQ(shown("1e400"), "inf");
  EXPECT_EQ(shown("1.50"), "1.5");
  EXPECT_EQ(shown(R"("it's")"), "it's");
}

TEST(PythonStr, ContainersShowStringsAsRepr) {
  EXPECT_EQ(shown(R"({"a":[1,null,false],"b":"it's"})"), R"({'a': [1, None, False], 'b': "it's"})");
  EXPECT_EQ(shown(R"(["both ' and \"","\\","\n\r\t\b\u0000","é","\u00a0","\u200b","\u007f"])"),
            R"(['both \' and "', '\\', '\n\r\t\x08\x00', 'é', '\xa0', '\u200b', '\x7f'])");
  EXPECT_EQ(shown(R"(["\ud83d\ude00","\udb80\udc00","\u3000"," "])"), R"(['😀', '\U000f0000', '\u3000', ' '])");
}

TEST(PythonTruth, ByKind) {
  for (const char* text : {"null", "false", "0", "-0", "0.0", "-0.0", "0e9", "1e-400", "\"\"", "[]", "{}"}) {
    EXPECT_FALSE(python_truth(parse(text))) << text;
  }
  for (const char* text : {"true", "1", "-1", "0.1", "5e-324", "1e400", "100000000000000000000000", "\"0\"", "[0]"}) {
    EXPECT_TRUE(python_truth(parse(text))) << text;
  }
}

}  // namespace
}  // namespace bantam::text
