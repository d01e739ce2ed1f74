// ToolCallScanner: what is delivered when, at every way to split the text.
#include "engine/tool_call_scanner.h"

#include <gtest/gtest.h>

#include <utility>

namespace bantam::engine {
namespace {

struct Seen {
  bool named = false;
  std::string name, arguments, tail;
  bool ends_well = false;
  bool operator==(const Seen&) const = default;
};

Seen scan(std::string_view text, size_t split) {
  ToolCallScanner scanner;
  scanner.push(text.substr(0, split));
  std::string arguments = scanner.take_arguments();
  scanner.push(text.substr(split));
  arguments += scanner.take_arguments();
  EXPECT_EQ(scanner.text(), text);
  return {scanner.named(), scanner.name(), arguments, scanner.named() ? std::string(scanner.tail()) : "",
          scanner.ends_well()};
}

Seen scan_all_splits(std::string_view text) {
  const Seen whole = scan(text, 0);
  for (size_t at = 1; at <= text.size(); ++at) EXPECT_EQ(scan(text, at), whole) << text << " at " << at;
  return whole;
}

TEST(ToolCallScanner, ArgumentsComeVerbatim) {
  for (const char* value : {"{}", "[]", "\"\"", "{\"a\": \"}]\\\\\\\"\"}", "[[{\"x\": []}], {}]", "\"a\\\\\"",
                            "12.50e3", "true", "null", "{\"a\":\n\t1 }", "\"caf\xC3\xA9 \xF0\x9F\x99\x82\""}) {
    using Frame = std::pair<const char*, const char*>;
    for (const auto& [before, after] :
         {Frame{"\n{\"name\": \"f\", \"arguments\": ", "}\n"}, Frame{"{\"name\":\"f\",\"arguments\":", "}"},
          Frame{" { \"name\"\n:\t\"f\" , \"arguments\" :  ", " } "}}) {
      const std::string text = std::string(before) + value + after;
      const Seen seen = scan_all_splits(text);
      EXPECT_TRUE(seen.named) << text;
      EXPECT_EQ(seen.name, "f");
      EXPECT_EQ(seen.arguments, value) << text;
      EXPECT_TRUE(seen.ends_well) << text;
    }
  }
}

TEST(ToolCallScanner, NamesAreDecoded) {
  EXPECT_EQ(scan_all_splits("{\"name\": \"a\\u00e9\\\"b\", \"arguments\": 1}").name, "a\xC3\xA9\"b");
  EXPECT_FALSE(scan_all_splits("{\"name\": \"\\x\", \"arguments\": 1}").named);
  EXPECT_FALSE(scan_all_splits("{\"name\": \"\", \"arguments\": 1}").named);
}

TEST(ToolCallScanner, AnotherOrderIsNotNamed) {
  for (const char* text : {"", "x", "[", "{\"arguments\": {}, \"name\": \"f\"}", "{\"name\": 3, \"arguments\": 1}",
                           "{\"name\": \"f\"}", "{\"name\": \"f\", \"id\": 1, \"arguments\": {}}", "{name: \"f\"",
                           "{\"name\": \"f\" \"arguments\": {}}", "{\"name\": \"f\", \"arguments\"", "{}"}) {
    const Seen seen = scan_all_splits(text);
    EXPECT_FALSE(seen.named) << text;
    EXPECT_EQ(seen.arguments, "") << text;
  }
}

TEST(ToolCallScanner, WhatFollowsTheValue) {
  const std::string start = "{\"name\": \"f\", \"arguments\": ";
  EXPECT_EQ(scan_all_splits(start + "{}").tail, "");
  EXPECT_EQ(scan_all_splits(start + "{\"a").arguments, "{\"a");
  EXPECT_TRUE(scan_all_splits(start + "{}}}\n").ends_well);
  EXPECT_FALSE(scan_all_splits(start + "{}, \"id\": 3}").ends_well);
  EXPECT_EQ(scan_all_splits(start + "{}} x").tail, "} x");
  EXPECT_FALSE(scan_all_splits(start + "7, 8").ends_well);
  EXPECT_EQ(scan_all_splits(start + "7, 8").tail, ", 8");
  EXPECT_EQ(scan_all_splits(start + "]").tail, "]");
}

}  // namespace
}  // namespace bantam::engine
