// The writers: what they write reads back (here, and in the reference packages), plans are enforced, and neither a full
// disk nor a kill leaves anything under the final name.
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

#include "base/json.h"
#include "base/rng.h"
#include "formats/formats_testing.h"
#include "formats/gguf_types.h"
#include "formats/gguf_writer.h"
#include "formats/safetensors.h"
#include "formats/safetensors_writer.h"

namespace bantam::formats {
namespace {

using testing::HasSubstr;

struct Source {
  std::vector<TensorPlan> plan;
  std::vector<std::string> data;
};

// One tensor of every type that `accepts`, with random bytes (0x7F.. patterns never matter: nothing is decoded).
Source every_type(const std::function<bool(DType)>& accepts) {
  Source source;
  Philox rng(7);
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (!accepts(dtype)) continue;
    const int64_t block = info(dtype).block_elems;
    source.plan.push_back({fmt::format("blk.{}.weight \"é\"", name(dtype)), dtype, Shape{3, 1, block * (1 + i % 3)}});
    std::string bytes(static_cast<size_t>(3 * row_bytes(dtype, block * (1 + i % 3))), '\0');
    for (char& c : bytes) c = static_cast<char>(rng.below(256));
    source.data.push_back(bytes);
  }
  return source;
}
Source gguf_source() {
  return every_type([](DType t) { return gguf_type_of(t).has_value(); });
}
Source safetensors_source() {
  return every_type([](DType t) { return !safetensors_name(t).empty(); });
}

// Streams every tensor in chunks of 1, 2, ... 7 bytes in turn.
Status stream(TensorWriter& writer, const Source& source) {
  for (size_t i = 0; i < source.plan.size(); ++i) {
    std::string_view rest = source.data[i];
    for (size_t step = 1; !rest.empty(); step = step % 7 + 1) {
      const std::string_view chunk = rest.substr(0, step);
      BANTAM_TRY(writer.write(source.plan[i].name, std::as_bytes(std::span(chunk))));
      rest.remove_prefix(chunk.size());
    }
  }
  return writer.finish();
}

void expect_same(const std::string& path, const Source& source) {
  const auto c = Checkpoint::open(path);
  ASSERT_TRUE(c.ok()) << c.status().message();
  ASSERT_EQ(c->tensors().size(), source.plan.size());
  for (size_t i = 0; i < source.plan.size(); ++i) {
    const NamedTensor* t = c->find(source.plan[i].name);
    ASSERT_NE(t, nullptr) << source.plan[i].name;
    EXPECT_EQ(t->view.dtype, source.plan[i].dtype);
    EXPECT_EQ(t->view.shape, source.plan[i].shape);
    ASSERT_EQ(t->view.bytes(), static_cast<int64_t>(source.data[i].size()));
    EXPECT_EQ(std::memcmp(t->view.data, source.data[i].data(), source.data[i].size()), 0) << source.plan[i].name;
  }
}

GgufMetadataBuilder some_metadata() {
  GgufMetadataBuilder metadata;
  metadata.set_string("general.architecture", "qwen3");
  metadata.set_u32("a", 1);
  metadata.set_u32("a", 4000000000u);
  metadata.set_i32("i32", -5);
  metadata.set_u64("u64", uint64_t{1} << 40);
  metadata.set_f32("f32", 1e-6f);
  metadata.set_bool("bool", false);
  metadata.set_strings("strings", std::vector<std::string_view>{"x", "", "世界"});
  metadata.set_i32s("i32s", std::vector<int32_t>{1, -1});
  metadata.set_f32s("f32s", std::vector<float>{0.5f});
  metadata.set_u32("gone", 1);
  metadata.remove("gone");
  return metadata;
}

TEST(GgufWriter, WhatIsWrittenReadsBack) {
  const TempFolder folder;
  const Source source = gguf_source();
  auto writer = create_gguf(folder / "m.gguf", some_metadata(), source.plan);
  ASSERT_TRUE(writer.ok()) << writer.status().message();
  const Status status = stream(**writer, source);
  ASSERT_TRUE(status.ok()) << status.message();
  expect_same(folder / "m.gguf", source);
  const auto c = Checkpoint::open(folder / "m.gguf");
  const GgufMetadata& m = *c->gguf();
  EXPECT_EQ(m.entries().size(), 9u);
  EXPECT_EQ(m.entries()[1].key, "a");
  EXPECT_EQ(*m.u32("a"), 4000000000u);
  EXPECT_EQ(*m.u64("u64"), uint64_t{1} << 40);
  EXPECT_EQ(*m.f32("f32"), 1e-6f);
  EXPECT_EQ(*m.boolean("bool"), false);
  EXPECT_THAT(*m.strings("strings"), testing::ElementsAre("x", "", "世界"));
  EXPECT_EQ(folder.file_count(), 1u);
}

TEST(GgufWriter, CopiesMetadataVerbatim) {
  const TempFolder folder;
  for (const char* from : {"tiny.gguf", "aligned.gguf", "split-00001-of-00003.gguf"}) {
    const auto c = Checkpoint::open(golden(from));
    GgufMetadataBuilder metadata;
    metadata.copy_all(*c->gguf());
    Source source;
    for (const NamedTensor& t : c->tensors()) {
      source.plan.push_back({std::string(t.name), t.view.dtype, t.view.shape});
      source.data.emplace_back(static_cast<const char*>(t.view.data), static_cast<size_t>(t.view.bytes()));
    }
    auto writer = create_gguf(folder / "m.gguf", metadata, source.plan);
    ASSERT_TRUE(writer.ok()) << writer.status().message();
    ASSERT_TRUE(stream(**writer, source).ok());
    expect_same(folder / "m.gguf", source);
    const auto copy = Checkpoint::open(folder / "m.gguf");
    for (const GgufEntry& e : c->gguf()->entries()) {
      const bool dropped = e.key == "general.alignment" || e.key.starts_with("split.");
      const GgufEntry* kept = copy->gguf()->find(e.key);
      ASSERT_EQ(kept == nullptr, dropped) << e.key;
      if (kept != nullptr) {
        EXPECT_EQ(kept->payload, e.payload);
      }
    }
    // The reference package orders, pads and aligns the same way: byte for byte the same file.
    if (std::string_view(from) == "tiny.gguf") {
      EXPECT_EQ(slurp(folder / "m.gguf"), slurp(golden(from)));
    }
  }
}

TEST(SafetensorsWriter, SingleFileAndShards) {
  const TempFolder folder;
  const Source source = safetensors_source();
  auto file = create_safetensors(folder / "out.safetensors", source.plan, {{"format", "pt"}, {"q", "\"\n"}});
  ASSERT_TRUE(file.ok()) << file.status().message();
  ASSERT_TRUE(stream(**file, source).ok());
  expect_same(folder / "out.safetensors", source);
  for (const uint64_t shard_bytes : {uint64_t{1}, uint64_t{50}, uint64_t{1} << 40}) {
    const TempFolder out;
    auto writer = create_safetensors_folder(out.path(), source.plan, shard_bytes);
    ASSERT_TRUE(writer.ok()) << writer.status().message();
    ASSERT_TRUE(stream(**writer, source).ok());
    expect_same(out.path(), source);
    const size_t expected_files = shard_bytes == 1 ? source.plan.size() + 1 : out.file_count();
    EXPECT_EQ(out.file_count(), expected_files);
    EXPECT_EQ(std::filesystem::exists(out / "model.safetensors"), shard_bytes > 50);
    for (const auto& entry : std::filesystem::directory_iterator(out.path())) {
      if (shard_bytes == 50 && entry.path().extension() == ".safetensors") {
        EXPECT_LE(entry.file_size(), 50u + 8 + 400);
      }
    }
  }
}

TEST(SafetensorsWriter, RefusesAFolderWithTheOtherForm) {
  const Source source = safetensors_source();
  const TempFolder folder;
  spit(folder / "model.safetensors", "old");
  EXPECT_THAT(std::string(create_safetensors_folder(folder.path(), source.plan, 1).status().message()),
              HasSubstr("without other weights"));
  std::filesystem::remove(folder / "model.safetensors");
  spit(folder / "model.safetensors.index.json", "old");
  EXPECT_FALSE(create_safetensors_folder(folder.path(), source.plan).ok());
  ASSERT_TRUE(stream(**create_safetensors_folder(folder.path(), source.plan, 1), source).ok());
  expect_same(folder.path(), source);
}

TEST(TensorWriter, PlansAreChecked) {
  const TempFolder folder;
  const auto error = [&](std::vector<TensorPlan> plan) {
    return std::string(create_gguf(folder / "m.gguf", some_metadata(), std::move(plan)).status().message());
  };
  EXPECT_THAT(error({{"a", DType::kQ8_0, {31}}}), HasSubstr("tensor a: expected rows of a multiple of 32"));
  EXPECT_THAT(error({{"a", DType::kF32, {1}}, {"a", DType::kF32, {1}}}), HasSubstr("got a twice"));
  EXPECT_THAT(error({{"a", DType::kF8E4M3, {1}}}), HasSubstr("expected a type that GGUF has, got f8_e4m3"));
  EXPECT_THAT(error({{"a", DType::kF32, {0}}}), HasSubstr("dimensions of at least 1"));
  EXPECT_THAT(error({{"a", DType::kF32, {INT64_MAX / 2, 4}}}), HasSubstr("below 2^63"));
  EXPECT_THAT(error({{"a", DType::kF32, {INT64_MAX / 8}},
                     {"b", DType::kF32, {INT64_MAX / 8}},
                     {"c", DType::kF32, {INT64_MAX / 8}}}),
              HasSubstr("below 2^63"));
  EXPECT_THAT(error({{"a\n", DType::kF32, {1}}}), HasSubstr("printable tensor name, got 'a\\x0a'"));
  EXPECT_THAT(std::string(create_gguf(folder / "m.gguf", {}, {}).status().message()),
              HasSubstr("general.architecture"));
  EXPECT_THAT(std::string(create_safetensors(folder / "m", {{"a", DType::kQ4_0, {32}}}).status().message()),
              HasSubstr("expected a plain type"));
  EXPECT_EQ(folder.file_count(), 0u);
}

TEST(TensorWriter, StreamsFollowThePlan) {
  const TempFolder folder;
  const std::vector<TensorPlan> plan = {{"a", DType::kU8, {4}}, {"e", DType::kU8, {0}}, {"b", DType::kU8, {2}}};
  const std::byte bytes[8] = {};
  const auto chunk = [&](size_t n) { return std::span<const std::byte>(bytes, n); };
  const auto fresh = [&] { return std::move(*create_safetensors(folder / "m.safetensors", plan)); };
  {
    auto w = fresh();
    EXPECT_THAT(std::string(w->write("b", chunk(1)).message()),
                HasSubstr("expected bytes 0 to 4 of tensor a, got tensor b"));
    EXPECT_THAT(std::string(w->write("a", chunk(5)).message()), HasSubstr("at most 4 more bytes, got 5"));
  }
  {
    auto w = fresh();
    ASSERT_TRUE(w->write("a", chunk(3)).ok());
    EXPECT_FALSE(w->write("b", chunk(1)).ok());
    EXPECT_THAT(std::string(w->write("a", chunk(2)).message()), HasSubstr("at most 1 more bytes, got 2"));
    EXPECT_THAT(std::string(w->finish().message()), HasSubstr("tensor a: expected 4 bytes before the end, got 3"));
  }
  EXPECT_EQ(folder.file_count(), 0u);
  auto w = fresh();
  ASSERT_TRUE(w->write("a", chunk(4)).ok());
  ASSERT_TRUE(w->write("e", {}).ok());
  ASSERT_TRUE(w->write("b", chunk(2)).ok());
  EXPECT_THAT(std::string(w->write("b", chunk(1)).message()), HasSubstr("expected the end of the plan"));
  ASSERT_TRUE(w->finish().ok());
  EXPECT_EQ(Checkpoint::open(folder / "m.safetensors")->tensors().size(), 3u);
}

constexpr int64_t kBigBytes = 3 << 20;  // beyond AtomicFile's buffer, so that bytes reach the disk before finish()

// Makes the writer of one of the three kinds over a plan of two big tensors.
Result<std::unique_ptr<TensorWriter>> big_writer(int kind, const TempFolder& folder) {
  std::vector<TensorPlan> plan = {{"a", DType::kI8, {kBigBytes}}, {"b", DType::kI8, {kBigBytes}}};
  if (kind == 0) return create_gguf(folder / "m.gguf", some_metadata(), std::move(plan));
  if (kind == 1) return create_safetensors(folder / "m.safetensors", std::move(plan));
  return create_safetensors_folder(folder.path(), std::move(plan), kBigBytes);
}
Status write_big(TensorWriter& writer, std::string_view tensor) {
  const std::string data(kBigBytes, 'x');
  return writer.write(tensor, std::as_bytes(std::span(data)));
}

// Files under a final name: everything but the .part-PID temporaries.
std::vector<std::string> final_files(const TempFolder& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    const std::string file = entry.path().filename();
    if (file.find(".part-") == std::string::npos) names.push_back(file);
  }
  return names;
}

class Interrupted : public testing::TestWithParam<int> {};

TEST_P(Interrupted, KillLeavesNothingUnderTheFinalName) {
  const TempFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    auto writer = big_writer(GetParam(), folder);
    if (!writer.ok() || !write_big(**writer, "a").ok()) ::_exit(1);
    ::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_THAT(final_files(folder), testing::IsEmpty());
}

TEST_P(Interrupted, FullDiskIsAnErrorAndLeavesNothing) {
  const TempFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    // A file-size limit stands in for a full disk: both fail the write half-way.
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{kBigBytes - 100, kBigBytes - 100};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(1);
    auto writer = big_writer(GetParam(), folder);
    if (!writer.ok()) ::_exit(2);
    Status result = write_big(**writer, "a");
    if (result.ok()) result = write_big(**writer, "b");
    if (result.ok()) result = (*writer)->finish();
    if (result.ok()) ::_exit(3);
    if (result.code() != ErrorCode::kNoSpace) ::_exit(4);
    writer->reset();
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(folder.file_count(), 0u);
}

TEST_P(Interrupted, AnOlderFileStaysWholeUntilTheNewOneIs) {
  const TempFolder folder;
  const char* names[] = {"m.gguf", "m.safetensors", "model-00001-of-00002.safetensors"};
  spit(folder / names[GetParam()], "old");
  {
    auto writer = big_writer(GetParam(), folder);
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(write_big(**writer, "a").ok());
    EXPECT_EQ(slurp(folder / names[GetParam()]), "old");
  }
  EXPECT_EQ(slurp(folder / names[GetParam()]), "old");
  EXPECT_EQ(folder.file_count(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Writers, Interrupted, testing::Values(0, 1, 2));

JsonValue rows_of(const Source& source) {
  JsonValue rows = JsonValue::array();
  for (size_t i = 0; i < source.plan.size(); ++i) {
    JsonValue shape = JsonValue::array();
    for (int d = 0; d < source.plan[i].shape.rank; ++d)
      shape.items().push_back(JsonValue::number(source.plan[i].shape[d]));
    rows.items().push_back(JsonValue::object(
        {{"name", JsonValue::string(source.plan[i].name)},
         {"dtype", JsonValue::string(std::string(name(source.plan[i].dtype)))},
         {"shape", std::move(shape)},
         {"fnv", JsonValue::string(fnv1a(source.data[i].data(), static_cast<int64_t>(source.data[i].size())))}}));
  }
  return rows;
}

TEST(Writers, ReferencePackagesReadWhatWeWrite) {
  if (std::getenv("BANTAM_ORACLES") == nullptr) GTEST_SKIP() << "needs BANTAM_ORACLES=1 and .oracles/";
  const TempFolder folder;
  std::filesystem::create_directory(folder / "sharded");
  std::filesystem::create_directory(folder / "whole");
  const Source plain = safetensors_source();
  // bq4 is a type of our own, which other readers refuse.
  const Source blocks = every_type([](DType t) { return gguf_type_of(t).has_value() && t != DType::kBQ4; });
  GgufMetadataBuilder metadata;
  metadata.copy_all(*Checkpoint::open(golden("tiny.gguf"))->gguf());
  metadata.set_u32("t.u32", 7);
  ASSERT_TRUE(stream(**create_gguf(folder / "m.gguf", metadata, blocks.plan), blocks).ok());
  ASSERT_TRUE(stream(**create_safetensors(folder / "m.safetensors", plain.plan), plain).ok());
  ASSERT_TRUE(stream(**create_safetensors_folder(folder / "sharded", plain.plan, 60), plain).ok());
  ASSERT_TRUE(stream(**create_safetensors_folder(folder / "whole", plain.plan), plain).ok());
  JsonValue expected = JsonValue::object();
  expected.set("m.gguf", JsonValue::object({{"tensors", rows_of(blocks)},
                                            {"metadata", JsonValue::object({{"t.u32", JsonValue::number(int64_t{7})}})},
                                            {"metadata_of", JsonValue::string(golden("tiny.gguf"))}}));
  for (const char* file : {"m.safetensors", "sharded", "whole"}) {
    expected.set(file, JsonValue::object({{"tensors", rows_of(plain)}}));
  }
  spit(folder / "expected.json", to_json(expected));
  const std::string command =
      fmt::format("{0}/.oracles/bin/python {0}/tools/oracles/check_formats.py {1}", BANTAM_SOURCE_DIR, folder.path());
  EXPECT_EQ(std::system(command.c_str()), 0);
}

}  // namespace
}  // namespace bantam::formats
