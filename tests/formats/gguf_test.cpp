// Reading GGUF: what the reference package wrote, and every rule of docs/formats/gguf.md broken once.
#include <gmock/gmock.h>

#include "base/json.h"
#include "formats/formats_testing.h"
#include "formats/gguf_types.h"
#include "quant/format.h"

namespace bantam::formats {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr uint32_t kF32Type = 0, kQ8_0Type = 8;

std::string gguf_error(const GgufBytes& file) {
  return error_of("m.gguf", file.bytes);
}
GgufBytes one_tensor(std::initializer_list<uint64_t> ne, uint32_t type, uint64_t offset, size_t data) {
  return GgufBytes(1, 0).tensor("t", ne, type, offset).data(data);
}

TEST(Gguf, GettersCheckPresenceAndType) {
  const auto c = Checkpoint::open(golden("tiny.gguf"));
  ASSERT_TRUE(c.ok()) << c.status().message();
  const GgufMetadata& m = *c->gguf();
  EXPECT_EQ(*m.u32("t.u32"), 4294967295u);
  EXPECT_EQ(*m.i32("t.i32"), INT32_MIN);
  EXPECT_EQ(*m.u64("t.u64"), UINT64_MAX);
  EXPECT_EQ(*m.f32("t.f32"), 1.5f);
  EXPECT_EQ(*m.boolean("t.bool"), true);
  EXPECT_EQ(*m.string("t.string"), "Grüße, 世界");
  EXPECT_EQ(*m.number("t.f64"), -0.25);
  EXPECT_EQ(*m.integer("t.i64"), INT64_MIN);
  EXPECT_EQ(*m.integer("t.i8"), -128);
  EXPECT_EQ(*m.integer("t.u16"), 65535);
  EXPECT_THAT(*m.strings("t.strings"), ElementsAre("a", "", "Ġb", "\n"));
  EXPECT_THAT(*m.i32s("t.i32s"), ElementsAre(1, -2, 3));
  EXPECT_THAT(*m.f32s("t.f32s"), ElementsAre(0.5f, -1.0f));
  EXPECT_EQ(m.i32("t.u32").status().message(), "gguf: key t.u32: expected i32, got u32");
  EXPECT_EQ(m.u32("none").status().message(), "gguf: key none: expected u32, got no such key");
  EXPECT_EQ(m.f32s("t.i32s").status().message(), "gguf: key t.i32s: expected an array of f32, got array of 3 i32");
  EXPECT_EQ(m.strings("t.string").status().message(), "gguf: key t.string: expected an array of string, got string");
  EXPECT_THAT(std::string(m.integer("t.u64").status().message()), HasSubstr("below 2^63, got 18446744073709551615"));
  EXPECT_EQ(m.u32s("t.i32s").ok(), false);
}

TEST(Gguf, VersionTwoReadsTheSame) {
  std::string bytes = slurp(golden("tiny.gguf"));
  const auto v3 = open_bytes("m.gguf", bytes);
  ASSERT_TRUE(v3.ok());
  std::string older = bytes;
  older[4] = 2;
  const auto v2 = open_bytes("m.gguf", older);
  ASSERT_TRUE(v2.ok()) << v2.status().message();
  EXPECT_EQ(fingerprint(*v2), fingerprint(*v3));
  older[4] = 1;
  EXPECT_EQ(error_of("m.gguf", older), "gguf: expected version 2 or 3, got 1 at byte 4 of m.gguf");
  older.replace(4, 4, std::string("\0\0\0\3", 4));
  EXPECT_THAT(error_of("m.gguf", older), HasSubstr("big-endian"));
  older.replace(0, 4, "GGML");
  EXPECT_THAT(error_of("m.gguf", older), HasSubstr("expected the magic 'GGUF', got 'GGML' at byte 0"));
}

TEST(Gguf, DimensionsComeSlowestFirst) {
  const GgufBytes file = one_tensor({8, 3, 2}, kF32Type, 0, 8 * 3 * 2 * 4);
  const auto c = open_bytes("m.gguf", file.bytes);
  ASSERT_TRUE(c.ok()) << c.status().message();
  EXPECT_EQ(c->tensors()[0].view.shape, (Shape{2, 3, 8}));
  EXPECT_EQ(c->tensors()[0].where(), "m.gguf at byte 96");
}

TEST(Gguf, TypesWeDoNotServeAreNamed) {
  EXPECT_THAT(gguf_error(one_tensor({256}, 16, 0, 256)),
              AllOf(StartsWith("gguf: tensor t: expected a type that bantam serves, got IQ2_XXS (number 16) at byte")));
  EXPECT_THAT(gguf_error(one_tensor({256}, 4, 0, 256)), HasSubstr("got an unknown one (number 4)"));
  EXPECT_THAT(gguf_error(one_tensor({256}, 0xFFFFFFFF, 0, 256)), HasSubstr("number 4294967295"));
}

TEST(Gguf, ShapesAreChecked) {
  EXPECT_THAT(gguf_error(one_tensor({31}, kQ8_0Type, 0, 64)), HasSubstr("multiple of 32 elements for Q8_0, got 31"));
  EXPECT_THAT(gguf_error(one_tensor({4, 0}, kF32Type, 0, 64)), HasSubstr("got dimension 1 = 0 at byte"));
  EXPECT_THAT(gguf_error(one_tensor({uint64_t{1} << 32, uint64_t{1} << 32}, kF32Type, 0, 64)), HasSubstr("below 2^63"));
  EXPECT_THAT(gguf_error(one_tensor({uint64_t{1} << 62}, kF32Type, 0, 64)), HasSubstr("below 2^63 bytes"));
  EXPECT_THAT(gguf_error(one_tensor({UINT64_MAX}, kF32Type, 0, 64)), HasSubstr("got dimension 0 ="));
  EXPECT_THAT(gguf_error(one_tensor({1, 1, 1, 1, 1}, kF32Type, 0, 64)), HasSubstr("expected 1 to 4 dimensions, got 5"));
  EXPECT_THAT(gguf_error(one_tensor({}, kF32Type, 0, 64)), HasSubstr("expected 1 to 4 dimensions, got 0"));
}

TEST(Gguf, RangesLieInsideTheFile) {
  EXPECT_EQ(gguf_error(one_tensor({16}, kF32Type, 0, 64)), "no error");
  EXPECT_EQ(gguf_error(one_tensor({16}, kF32Type, 0, 63)),
            "gguf: tensor t: expected 64 bytes for f32 [16], got 63 before the end of the file at byte 64 of m.gguf");
  EXPECT_THAT(gguf_error(one_tensor({16}, kF32Type, 32, 64)), HasSubstr("got 32 before the end of the file"));
  EXPECT_THAT(gguf_error(one_tensor({16}, kF32Type, UINT64_MAX - 31, 64)), HasSubstr("got 0 before the end"));
  EXPECT_THAT(gguf_error(one_tensor({16}, kF32Type, 4, 128)), HasSubstr("multiple of 32, got 4"));
}

TEST(Gguf, TwoHugeTensorsDoNotWrapAround) {
  const uint64_t half = uint64_t{1} << 60;  // elements: 2^62 bytes each
  const GgufBytes file =
      GgufBytes(2, 0).tensor("a", {half}, kF32Type, 0).tensor("b", {half}, kF32Type, uint64_t{1} << 62).data(64);
  EXPECT_THAT(gguf_error(file), HasSubstr("before the end of the file"));
}

TEST(Gguf, OverlapsAndTwinsAreErrors) {
  EXPECT_EQ(gguf_error(GgufBytes(2, 0).tensor("a", {8}, kF32Type, 0).tensor("b", {8}, kF32Type, 32).data(64)),
            "no error");
  EXPECT_EQ(gguf_error(GgufBytes(2, 0).tensor("a", {9}, kF32Type, 0).tensor("b", {8}, kF32Type, 32).data(64)),
            "gguf: tensor b: expected its data from byte 132 on, where that of a ends, got it at byte 128 of m.gguf");
  EXPECT_THAT(
      gguf_error(GgufBytes(2, 0).tensor("a", {8}, kF32Type, 0).tensor("a", {8}, kF32Type, 32).data(64)),
      HasSubstr("tensor a: expected each name once, got it in m.gguf at byte 96 and again in m.gguf at byte 128"));
  EXPECT_THAT(gguf_error(GgufBytes(0, 2).entry<uint8_t>("k", GgufType::kU8, 1).entry<uint8_t>("k", GgufType::kU8, 1)),
              HasSubstr("key k: expected each key once, got it again at byte 46"));
}

TEST(Gguf, AlignmentIsChecked) {
  const auto with_alignment = [](GgufType type, uint64_t value, size_t pad) {
    GgufBytes file(1, 1);
    type == GgufType::kU64 ? file.entry("general.alignment", type, value)
                           : file.entry("general.alignment", type, static_cast<uint32_t>(value));
    return gguf_error(file.tensor("t", {8}, kF32Type, 0).data(32, pad));
  };
  EXPECT_EQ(with_alignment(GgufType::kU32, 64, 64), "no error");
  EXPECT_EQ(with_alignment(GgufType::kU32, 1, 1), "no error");
  EXPECT_THAT(with_alignment(GgufType::kU32, 0, 1), HasSubstr("power of two from 1 to 65,536, got 0"));
  EXPECT_THAT(with_alignment(GgufType::kU32, 48, 1), HasSubstr("got 48"));
  EXPECT_THAT(with_alignment(GgufType::kU32, uint64_t{1} << 31, 1), HasSubstr("got 2147483648"));
  EXPECT_THAT(with_alignment(GgufType::kI32, 64, 64), HasSubstr("expected u32, got i32"));
  EXPECT_THAT(with_alignment(GgufType::kU64, 64, 64), HasSubstr("expected u32, got u64"));
}

TEST(Gguf, CountsAreBoundedByTheBytesThatFollow) {
  EXPECT_THAT(gguf_error(GgufBytes(uint64_t{1} << 40, 0)),
              HasSubstr("expected at most 0 tensors in the bytes that follow"));
  EXPECT_THAT(gguf_error(GgufBytes(0, UINT64_MAX)), HasSubstr("expected at most 0 metadata entries"));
  GgufBytes array(0, 1);
  array.text("a").integer(static_cast<uint32_t>(GgufType::kArray)).integer(static_cast<uint32_t>(GgufType::kF64));
  array.integer(uint64_t{1} << 61);
  EXPECT_THAT(gguf_error(array), HasSubstr("key a: expected at most 0 elements of f64"));
  GgufBytes nested(0, 1);
  nested.text("a").integer(9u).integer(9u).integer<uint64_t>(1);
  EXPECT_THAT(gguf_error(nested), HasSubstr("array of arrays"));
  EXPECT_THAT(gguf_error(GgufBytes(0, 1).text("abc").integer(13u).integer<uint8_t>(0)),
              HasSubstr("a value type from 0 to 12, got 13"));
  EXPECT_THAT(gguf_error(GgufBytes(0, 1).entry<uint8_t>("abc", GgufType::kBool, 2)),
              HasSubstr("expected a bool of 0 or 1, got 2"));
  EXPECT_THAT(gguf_error(GgufBytes(0, 1).entry<uint32_t>("", GgufType::kU32, 2)),
              HasSubstr("a metadata key of 1 to 65,535 bytes"));
}

TEST(Gguf, HostileNamesCannotSteerTheTerminal) {
  const std::string error = gguf_error(GgufBytes(1, 0).tensor("\x1b[31mred\xC2\x9B", {8}, 99, 0).data(32));
  EXPECT_THAT(error, HasSubstr("tensor \\x1b[31mred\\xc2"));
  EXPECT_EQ(error.find('\x1b'), std::string::npos);
}

TEST(Gguf, NoTensorsNeedNoData) {
  const GgufBytes file = GgufBytes(0, 1).string_entry("general.architecture", "qwen3");
  const auto c = open_bytes("vocab.gguf", file.bytes);
  ASSERT_TRUE(c.ok()) << c.status().message();
  EXPECT_EQ(c->tensors().size(), 0u);
  EXPECT_EQ(*c->gguf()->string("general.architecture"), "qwen3");
}

TEST(Gguf, TypeTableNamesEveryServedType) {
  int served = 0;
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    const auto number = gguf_type_of(dtype);
    if (!number) continue;
    ++served;
    EXPECT_EQ(dtype_of_gguf(*number), dtype);
    std::string lower(gguf_type_name(*number));
    for (char& ch : lower) ch = static_cast<char>(std::tolower(ch));
    EXPECT_EQ(lower, name(dtype));
  }
  EXPECT_EQ(served, 19);  // all but f8_e4m3 and u8
}

TEST(Gguf, TypeNumbersAgreeWithTheCodecs) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    const quant::Format* format = quant::find_format(dtype);
    if (format == nullptr) continue;
    EXPECT_EQ(format->gguf_type, gguf_type_of(dtype) ? static_cast<int>(*gguf_type_of(dtype)) : -1) << name(dtype);
  }
}

TEST(Gguf, PrintsLongValuesShort) {
  const auto c = Checkpoint::open(golden("tiny.gguf"));
  ASSERT_TRUE(c.ok());
  EXPECT_EQ(c->gguf()->find("t.i32s")->to_text(2), "[1, ...]");
  EXPECT_EQ(c->gguf()->find("t.strings")->type_text(), "array of 4 string");
}

TEST(GgufSplit, AnyPartOpensAll) {
  const auto first = Checkpoint::open(golden("split-00001-of-00003.gguf"));
  const auto last = Checkpoint::open(golden("split-00003-of-00003.gguf"));
  ASSERT_TRUE(first.ok()) << first.status().message();
  ASSERT_TRUE(last.ok()) << last.status().message();
  EXPECT_EQ(fingerprint(*first), fingerprint(*last));
  EXPECT_EQ(first->tensors().size(), 5u);
  EXPECT_EQ(*last->gguf()->u32("qwen3.block_count"), 2u);
  EXPECT_THAT(first->find("t4")->where(), StartsWith("split-00003-of-00003.gguf at byte"));
}

TEST(GgufSplit, MissingAndMisnamedPartsAreNamed) {
  const TempFolder folder;
  spit(folder / "x-00001-of-00003.gguf", slurp(golden("split-00001-of-00003.gguf")));
  spit(folder / "x-00003-of-00003.gguf", slurp(golden("split-00003-of-00003.gguf")));
  EXPECT_THAT(std::string(Checkpoint::open(folder / "x-00001-of-00003.gguf").status().message()),
              HasSubstr("expected 3 parts, got no file x-00002-of-00003.gguf"));
  spit(folder / "x-00002-of-00003.gguf", slurp(golden("split-00003-of-00003.gguf")));
  EXPECT_THAT(std::string(Checkpoint::open(folder / "x-00001-of-00003.gguf").status().message()),
              HasSubstr("expected part 2 of 3, got part 3 of 3 in x-00002-of-00003.gguf"));
  spit(folder / "renamed.gguf", slurp(golden("split-00001-of-00003.gguf")));
  EXPECT_THAT(std::string(Checkpoint::open(folder / "renamed.gguf").status().message()),
              HasSubstr("to be named NAME-00001-of-00003.gguf, got renamed.gguf"));
}

}  // namespace
}  // namespace bantam::formats
