// Reading safetensors: every rule of docs/formats/safetensors.md broken once, single files and shards.
#include <gmock/gmock.h>

#include "formats/formats_testing.h"

namespace bantam::formats {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

std::string header_error(std::string_view header, size_t data_bytes = 0) {
  return error_of("m.safetensors", safetensors_file(header, std::string(data_bytes, 'x')));
}
// One tensor "a" of dtype and shape at offsets.
std::string entry_error(std::string_view dtype, std::string_view shape, std::string_view offsets, size_t data_bytes) {
  return header_error(fmt::format(R"({{"a":{{"dtype":"{}","shape":{},"data_offsets":{}}}}})", dtype, shape, offsets),
                      data_bytes);
}

TEST(Safetensors, AcceptsWhatTheFormatAllows) {
  EXPECT_EQ(entry_error("F32", "[2,1]", "[0,8]", 8), "no error");
  EXPECT_EQ(entry_error("F32", "[]", "[0,4]", 4), "no error");
  EXPECT_EQ(entry_error("F16", "[0,3]", "[0,0]", 0), "no error");
  EXPECT_EQ(entry_error("F8_E4M3", "[ 2 , 2 ]", "[ 0 ,4 ]", 4), "no error");
  EXPECT_EQ(header_error("{}"), "no error");
  EXPECT_EQ(header_error("{\"__metadata__\":{\"a\":\"b\"}}   \n"), "no error");
  EXPECT_EQ(header_error(R"({"b":{"shape":[1],"data_offsets":[1,2],"dtype":"U8"},
                             "a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}})",
                         2),
            "no error");
}

TEST(Safetensors, LengthPrefixIsChecked) {
  const auto raw = [](uint64_t length, std::string_view rest) {
    std::string bytes;
    put(&bytes, length);
    return error_of("m.safetensors", bytes.append(rest));
  };
  EXPECT_EQ(raw(3, "{}"), "safetensors: expected a header of 2 to 2 bytes, got length 3 at byte 0 of m.safetensors");
  EXPECT_THAT(raw(0, "{}"), HasSubstr("got length 0"));
  EXPECT_THAT(raw(UINT64_MAX, "{}"), HasSubstr("got length 18,446,744,073,709,551,615"));
  EXPECT_THAT(error_of("m.safetensors", "12345678"), HasSubstr("expected at least 10 bytes"));
  EXPECT_THAT(error_of("m.safetensors", ""), HasSubstr("expected at least 10 bytes"));
  EXPECT_THAT(raw(3, " {}"), HasSubstr("expected the header to start with '{', got ' ' at byte 8"));
}

TEST(Safetensors, JsonIsStrict) {
  EXPECT_THAT(header_error("{,}"), HasSubstr("expected a string, got ',' at byte 9 of m.safetensors"));
  EXPECT_THAT(header_error("{}{}"), HasSubstr("expected the end of the text, got '{' at byte 10"));
  EXPECT_THAT(header_error("{\"a"), HasSubstr("expected a closing quote, got the end of the JSON text at byte 11"));
  EXPECT_THAT(header_error("{\"a\":1}"), HasSubstr("expected '{', got '1'"));
  EXPECT_THAT(header_error("{\"a\x01\":1}"), HasSubstr("expected no control character in a string, got '\\x01'"));
  EXPECT_THAT(header_error("{\"a\xff\":1}"), HasSubstr("expected UTF-8 in a string, got 'a\\xff'"));
  EXPECT_THAT(header_error(R"({"\q":1})"), HasSubstr("expected a valid escape"));
  EXPECT_THAT(header_error(R"({"\ud800x":1})"), HasSubstr("expected a valid escape"));
  EXPECT_THAT(header_error(R"({"\)"), HasSubstr("expected an escaped character"));
  EXPECT_THAT(header_error(R"({"__metadata__":{"a":1}})"), HasSubstr("expected a string, got '1'"));
  EXPECT_THAT(entry_error("F32", "[01]", "[0,4]", 4), HasSubstr("without leading zeros"));
  EXPECT_THAT(entry_error("F32", "[-1]", "[0,4]", 4), HasSubstr("expected an integer from 0 to 2^63-1, got '-'"));
  EXPECT_THAT(entry_error("F32", "[1.0]", "[0,4]", 4), HasSubstr("got '.'"));
  EXPECT_THAT(entry_error("F32", "[9223372036854775808]", "[0,4]", 4), HasSubstr("2^63"));
  EXPECT_THAT(entry_error("F32", "[1,]", "[0,4]", 4), HasSubstr("expected an integer"));
}

TEST(Safetensors, EscapedNamesAreDecoded) {
  const std::string bytes =
      safetensors_file(R"({"\u00e9\ud83d\ude00\n\/":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x");
  const auto c = open_bytes("m.safetensors", bytes);
  ASSERT_TRUE(c.ok()) << c.status().message();
  EXPECT_NE(c->find("é😀\n/"), nullptr);
}

TEST(Safetensors, EntriesAreChecked) {
  EXPECT_THAT(entry_error("F64", "[1]", "[0,8]", 8),
              AllOf(StartsWith("safetensors: tensor a: expected dtype F32,"), HasSubstr("got F64 at byte")));
  EXPECT_THAT(entry_error("F32", "[2]", "[0,4]", 4), HasSubstr("expected 8 bytes of data for F32 [2], got 4"));
  EXPECT_THAT(entry_error("F32", "[1]", "[0,4]", 3), HasSubstr("within the 3 data bytes of the file, got [0, 4]"));
  EXPECT_THAT(entry_error("F32", "[1]", "[4,0]", 4), HasSubstr("got [4, 0]"));
  EXPECT_THAT(entry_error("F32", "[1,1,1,1,1]", "[0,4]", 4), HasSubstr("expected at most 4 dimensions"));
  EXPECT_THAT(entry_error("F32", "[4611686018427387904,4]", "[0,0]", 0), HasSubstr("below 2^63 bytes"));
  EXPECT_THAT(header_error(R"({"a":{"dtype":"U8","shape":[1]}})", 1), HasSubstr("without data_offsets"));
  EXPECT_THAT(header_error(R"({"a":{"dtype":"U8","dtype":"U8"}})", 1), HasSubstr("once each, got dtype"));
  EXPECT_THAT(header_error(R"({"a":{"x":"U8"}})", 1), HasSubstr("once each, got x"));
  EXPECT_THAT(header_error(R"({"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1),
              HasSubstr("expected a tensor name"));
}

TEST(Safetensors, DataIsOneGaplessRun) {
  const auto two = [](std::string_view a, std::string_view b, size_t data) {
    return header_error(
        fmt::format(
            R"({{"a":{{"dtype":"U8","shape":[2],"data_offsets":{}}},"b":{{"dtype":"U8","shape":[2],"data_offsets":{}}}}})",
            a, b),
        data);
  };
  EXPECT_EQ(two("[0,2]", "[2,4]", 4), "no error");
  EXPECT_EQ(two("[2,4]", "[0,2]", 4), "no error");
  EXPECT_THAT(two("[0,2]", "[1,3]", 3), HasSubstr("tensor b: expected its data at byte"));
  EXPECT_THAT(two("[0,2]", "[3,5]", 5), HasSubstr("tensor b: expected its data at byte"));
  EXPECT_THAT(two("[1,3]", "[3,5]", 5), HasSubstr("tensor a: expected its data at byte"));
  EXPECT_THAT(two("[0,2]", "[0,2]", 2), HasSubstr("tensor b: expected its data at byte"));
  EXPECT_THAT(two("[0,2]", "[2,4]", 5), HasSubstr("expected the file to end with its last tensor"));
}

TEST(Safetensors, TwinsAreErrors) {
  EXPECT_THAT(
      header_error(
          R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
          2),
      HasSubstr("tensor a: expected each name once"));
}

class Shards : public testing::Test {
 protected:
  // Opens a folder of one good shard (tensor "a") and what the test adds.
  std::string error(std::string_view index, MemoryFiles more = {}) {
    index_ = index;
    files_ = std::move(more);
    files_.emplace_back("model.safetensors.index.json", index_);
    files_.emplace_back("one.safetensors", one_);
    auto c = Checkpoint::from_memory(files_);
    return c.ok() ? "no error" : std::string(c.status().message());
  }
  static std::string shard(std::string_view tensor) {
    return safetensors_file(fmt::format(R"({{"{}":{{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}}})", tensor), "x");
  }
  std::string one_ = shard("a"), two_ = shard("b"), twin_ = shard("a");
  std::string index_;
  MemoryFiles files_;
};

TEST_F(Shards, GoodIndex) {
  EXPECT_EQ(error(R"({"metadata":{"total_size":2},"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})",
                  {{"two.safetensors", two_}}),
            "no error");
}
TEST_F(Shards, MissingShardIsNamed) {
  EXPECT_THAT(error(R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})"),
              HasSubstr("safetensors: expected shard two.safetensors"));
}
TEST_F(Shards, ListedButAbsentTensorIsNamed) {
  EXPECT_THAT(error(R"({"weight_map":{"a":"one.safetensors","b":"one.safetensors"}})"),
              HasSubstr("tensor b: expected it in one.safetensors"));
  EXPECT_THAT(error(R"({"weight_map":{"a":"one.safetensors","b":"one.safetensors","c":"two.safetensors"}})",
                    {{"two.safetensors", two_}}),
              HasSubstr("tensor b: expected it in one.safetensors"));
}
TEST_F(Shards, TwinsAcrossShards) {
  EXPECT_THAT(error(R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors","a2":"twin.safetensors"}})",
                    {{"two.safetensors", two_}, {"twin.safetensors", twin_}}),
              HasSubstr("tensor a2: expected it in twin"));
  EXPECT_THAT(error(R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors","a":"twin.safetensors"}})",
                    {{"two.safetensors", two_}, {"twin.safetensors", twin_}}),
              HasSubstr("tensor a: expected each name once, got it in one.safetensors"));
}
TEST_F(Shards, NamesStayInTheFolder) {
  for (const char* bad : {"../one.safetensors", "/etc/passwd", "..", "a/b", "", "a\\\\b", "x\\u0000"}) {
    EXPECT_THAT(error(fmt::format(R"({{"weight_map":{{"a":"{}"}}}})", bad)),
                HasSubstr("expected the name of a file in this folder"))
        << bad;
  }
}
TEST_F(Shards, DamagedIndex) {
  EXPECT_THAT(error("{}"), HasSubstr("expected a weight_map that names shards"));
  EXPECT_THAT(error("{\"weight_map\":{}}"), HasSubstr("expected a weight_map that names shards"));
  EXPECT_THAT(error("{\"weight_map\":[]}"), HasSubstr("expected '{', got '['"));
  EXPECT_THAT(error(""),
              HasSubstr("expected '{', got the end of the JSON text at byte 0 of model.safetensors.index.json"));
  EXPECT_THAT(error("{\"m\":" + std::string(100000, '[')), HasSubstr("at most 64 levels of nesting"));
  EXPECT_THAT(error("{\"m\":[1,],\"weight_map\":{}}"), HasSubstr("expected a JSON value, got ']'"));
  EXPECT_THAT(error("{\"m\":{\"a\":tru},\"weight_map\":{}}"), HasSubstr("expected a JSON value, got 't'"));
}

}  // namespace
}  // namespace bantam::formats
