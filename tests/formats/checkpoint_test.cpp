// Checkpoint: the reference packages' files read back tensor for tensor, folders and memory, and what holds while open.
#include "formats/checkpoint.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "base/json.h"
#include "formats/formats_testing.h"

namespace bantam::formats {
namespace {

using testing::HasSubstr;

Shape shape_of(const JsonValue& list) {
  Shape shape;
  for (const JsonValue& d : list.items()) shape.dims[static_cast<size_t>(shape.rank++)] = *d.as_int64();
  return shape;
}

// Compares what `path` holds with its row of expected.json.
void expect_golden(const std::string& path, const JsonValue& expected) {
  SCOPED_TRACE(path);
  const auto c = Checkpoint::open(path);
  ASSERT_TRUE(c.ok()) << c.status().message();
  const auto& rows = expected.find("tensors")->items();
  EXPECT_EQ(c->tensors().size(), rows.size());
  for (const JsonValue& row : rows) {
    const std::string& tensor = row.find("name")->as_string();
    const NamedTensor* t = c->find(tensor);
    ASSERT_NE(t, nullptr) << tensor;
    EXPECT_EQ(name(t->view.dtype), row.find("dtype")->as_string()) << tensor;
    EXPECT_EQ(t->view.shape, shape_of(*row.find("shape"))) << tensor;
    EXPECT_EQ(fnv1a(t->view.data, t->view.bytes()), row.find("fnv")->as_string()) << tensor;
    std::string copy(static_cast<size_t>(t->view.bytes()), '?');
    ASSERT_TRUE(c->read(*t, 0, std::as_writable_bytes(std::span(copy))).ok());
    EXPECT_EQ(fnv1a(copy.data(), t->view.bytes()), row.find("fnv")->as_string()) << tensor;
  }
  const JsonValue* metadata = expected.find("metadata");
  if (metadata == nullptr) return;
  EXPECT_EQ(c->gguf()->entries().size(), metadata->members().size());
  for (const auto& [key, value] : metadata->members()) {
    const GgufEntry* entry = c->gguf()->find(key);
    ASSERT_NE(entry, nullptr) << key;
    EXPECT_EQ(entry->to_text(), value.as_string()) << key;
  }
}

void expect_all_golden(const std::string& folder) {
  const auto expected = parse_json(slurp(folder + "/expected.json"));
  ASSERT_TRUE(expected.ok());
  ASSERT_EQ(expected->members().size(), 5u);
  for (const auto& [file, row] : expected->members()) expect_golden(folder + "/" + file, row);
}

TEST(Checkpoint, ReadsWhatTheReferencePackagesWrote) {
  expect_all_golden(golden(""));
}

TEST(Checkpoint, ReadsFreshFilesOfTheReferencePackages) {
  if (std::getenv("BANTAM_ORACLES") == nullptr) GTEST_SKIP() << "needs BANTAM_ORACLES=1 and .oracles/";
  for (int seed = 1; seed <= 5; ++seed) {
    const TempFolder folder;
    const std::string command = fmt::format("{0}/.oracles/bin/python {0}/tools/oracles/make_formats_golden.py {1} {2}",
                                            BANTAM_SOURCE_DIR, folder.path(), seed);
    ASSERT_EQ(std::system(command.c_str()), 0);
    expect_all_golden(folder.path());
  }
}

TEST(Checkpoint, FolderGivesConfigsAndTexts) {
  const auto c = Checkpoint::open(golden("folder/"));
  ASSERT_TRUE(c.ok()) << c.status().message();
  EXPECT_EQ(c->kind(), Kind::kHuggingFace);
  ASSERT_NE(c->config(), nullptr);
  EXPECT_EQ(c->config()->find("model_type")->as_string(), "qwen3");
  EXPECT_EQ(c->generation_config()->find("temperature")->number_text(), "0.6");
  EXPECT_EQ(c->text("LICENSE"), "a licence\n");
  EXPECT_EQ(c->text("tokenizer.json"), std::nullopt);
  EXPECT_EQ(c->gguf(), nullptr);
  EXPECT_EQ(c->find("nothing"), nullptr);
}

TEST(Checkpoint, TokenizerFolderNeedsNoWeights) {
  const TempFolder folder;
  spit(folder / "tokenizer.json", "{}");
  EXPECT_THAT(std::string(Checkpoint::open(folder.path()).status().message()),
              HasSubstr("expected model.safetensors or model.safetensors.index.json, got neither"));
  EXPECT_EQ(Checkpoint::open_without_weights(folder.path())->text("tokenizer.json"), "{}");
  EXPECT_TRUE(Checkpoint::open(folder.path(), Weights::kIfPresent).ok());
  spit(folder / "model.safetensors", "damaged");
  EXPECT_FALSE(Checkpoint::open(folder.path(), Weights::kIfPresent).ok());
  EXPECT_TRUE(Checkpoint::open_without_weights(folder.path()).ok());
}

TEST(Checkpoint, SaysWhatIsWrongWithAPath) {
  const TempFolder folder;
  const auto error = [&](const std::string& path) { return std::string(Checkpoint::open(path).status().message()); };
  EXPECT_THAT(error(folder / "none.gguf"), HasSubstr("a .safetensors file, got no such file"));
  EXPECT_THAT(std::string(Checkpoint::open_without_weights(folder.path()).status().message()),
              HasSubstr("expected a model folder with config.json or tokenizer files"));
  spit(folder / "pytorch_model.bin", "x");
  EXPECT_THAT(error(folder.path()), HasSubstr("pickle"));
  spit(folder / "x.bin", "\x1b[0mabc");
  EXPECT_THAT(error(folder / "x.bin"), HasSubstr("got a file starting with '\\x1b[0mabc'"));
  spit(folder / "empty.gguf", "");
  EXPECT_THAT(error(folder / "empty.gguf"), HasSubstr("expected 4 bytes for the magic, got 0"));
  EXPECT_FALSE(looks_like_gguf(folder / "empty.gguf"));
  EXPECT_FALSE(looks_like_gguf(folder.path()));
  EXPECT_TRUE(looks_like_gguf(golden("tiny.gguf")));
  spit(folder / "no-suffix", slurp(golden("tiny.gguf")));
  EXPECT_TRUE(Checkpoint::open(folder / "no-suffix").ok());
}

TEST(Checkpoint, DamagedConfigIsNamed) {
  const auto error = [](std::string_view config) {
    auto c = Checkpoint::from_memory({{"config.json", config}}, Weights::kSkip);
    return c.ok() ? "no error" : std::string(c.status().message());
  };
  EXPECT_EQ(error("{}"), "no error");
  EXPECT_EQ(error("{\"a\":"), "expected a JSON value, got the end of the JSON text at byte 5 of config.json");
  EXPECT_EQ(error("{\"a\":1-2}"), "config.json: not valid JSON: unexpected token \"1-2\"");
  EXPECT_EQ(error("[1]"), "config.json: expected an object, got array");
  EXPECT_THAT(error(""), HasSubstr("at byte 0 of config.json"));
  EXPECT_THAT(error(std::string(5u << 20, ' ')),
              HasSubstr("config.json: expected at most 1,048,576 bytes, got 5,242,880"));
}

TEST(Checkpoint, MemoryEqualsDisk) {
  std::vector<std::string> contents;
  MemoryFiles files;
  for (const auto& entry : std::filesystem::directory_iterator(golden("folder"))) {
    contents.push_back(slurp(entry.path()));
    files.emplace_back(entry.path().filename(), std::string_view());
  }
  for (size_t i = 0; i < files.size(); ++i) files[i].second = contents[i];
  const auto memory = Checkpoint::from_memory(files);
  const auto disk = Checkpoint::open(golden("folder"));
  ASSERT_TRUE(memory.ok()) << memory.status().message();
  EXPECT_EQ(fingerprint(*memory), fingerprint(*disk));
  EXPECT_EQ(memory->file_bytes(), disk->file_bytes());
  EXPECT_TRUE(memory->verify_sizes().ok());
  memory->release(memory->tensors()[0]);
}

TEST(Checkpoint, ViewsSurviveMovesAndRelease) {
  auto c = Checkpoint::open(golden("tiny.gguf"));
  ASSERT_TRUE(c.ok());
  const NamedTensor* t = c->find("blk.Q4_K");
  const std::string before = fingerprint(*c);
  Checkpoint moved = std::move(c).value();
  EXPECT_EQ(moved.find("blk.Q4_K"), t);
  for (const NamedTensor& each : moved.tensors()) moved.release(each);
  EXPECT_EQ(fingerprint(moved), before);
}

TEST(Checkpoint, NoticesAFileCutShort) {
  const TempFolder folder;
  const std::string path = folder / "m.gguf";
  spit(path, slurp(golden("tiny.gguf")));
  const auto c = Checkpoint::open(path);
  ASSERT_TRUE(c.ok());
  EXPECT_TRUE(c->verify_sizes().ok());
  ASSERT_EQ(::truncate(path.c_str(), 200), 0);
  EXPECT_THAT(std::string(c->verify_sizes().message()),
              HasSubstr("m.gguf: expected 3,776 bytes as when it was opened, got 200"));
  const NamedTensor& last = c->tensors().back();
  std::string buffer(static_cast<size_t>(last.view.bytes()), '?');
  const Status status = c->read(last, 0, std::as_writable_bytes(std::span(buffer)));
  EXPECT_THAT(std::string(status.message()), HasSubstr("the file was cut short"));
}

TEST(Checkpoint, ReplacedFileKeepsItsOldBytes) {
  const TempFolder folder;
  const std::string path = folder / "m.gguf";
  spit(path, slurp(golden("tiny.gguf")));
  const auto c = Checkpoint::open(path);
  const std::string before = fingerprint(*c);
  spit(folder / "new", "short");
  std::filesystem::rename(folder / "new", path);
  EXPECT_TRUE(c->verify_sizes().ok());
  EXPECT_EQ(fingerprint(*c), before);
}

}  // namespace
}  // namespace bantam::formats
