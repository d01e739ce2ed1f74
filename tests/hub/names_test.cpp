// Names of models, and which files they mean.
#include "hub/names.h"

#include <gtest/gtest.h>

#include <set>

#include "hub/choose_files.h"

namespace bantam::hub {
namespace {

TEST(Names, FriendlyOnesComeFromTheTable) {
  const auto name = parse_model_name("qwen3:4b");
  ASSERT_TRUE(name.ok());
  EXPECT_EQ(name->repo, "Qwen/Qwen3-4B-GGUF");
  EXPECT_EQ(name->quant, "Q4_K_M");
  EXPECT_FALSE(name->quant_is_wish);
  EXPECT_EQ(name->revision, "main");
  EXPECT_EQ(parse_model_name("Qwen3:4B-Instruct-2507")->repo, "Qwen/Qwen3-4B-Instruct-2507");
  EXPECT_EQ(parse_model_name("qwen3:4b-instruct-2507")->quant, "");
}

TEST(Names, TheTableIsSound) {
  std::set<std::string> seen;
  for (const FriendlyName& row : friendly_names()) {
    EXPECT_TRUE(seen.insert(row.name).second) << row.name;
    EXPECT_TRUE(is_repo(row.repo)) << row.repo;
    const auto name = parse_model_name(row.name);
    ASSERT_TRUE(name.ok()) << row.name;
    EXPECT_EQ(name->repo, row.repo);  // no row hides behind a shorter one
    EXPECT_EQ(parse_model_name(row.name + ":Q8_0")->quant, "Q8_0") << row.name;
  }
  EXPECT_GE(seen.size(), 8u);
}

TEST(Names, QuantsRevisionsAndRepositories) {
  const auto wish = parse_model_name("qwen3:0.6b:Q8_0");
  EXPECT_EQ(wish->quant, "Q8_0");
  EXPECT_TRUE(wish->quant_is_wish);
  const auto repo = parse_model_name("Qwen/Qwen3-4B-GGUF@refs/pr/1:q6_k");
  EXPECT_EQ(repo->repo, "Qwen/Qwen3-4B-GGUF");
  EXPECT_EQ(repo->revision, "refs/pr/1");
  EXPECT_EQ(repo->quant, "q6_k");
  EXPECT_EQ(parse_model_name("qwen3:4b@v1.0")->revision, "v1.0");
  for (const char* text : {"https://huggingface.co/a/b", "hf.co/a/b", "hf://a/b/"}) {
    EXPECT_EQ(parse_model_name(text)->repo, "a/b") << text;
  }
}

TEST(Names, MistakesGetSuggestions) {
  for (const char* text : {"qwen3:4c", "qwen:4b", "qwen3:4b-instruct-2508", "qwen3:4b-instruct"}) {
    const auto name = parse_model_name(text);
    ASSERT_FALSE(name.ok()) << text;
    EXPECT_EQ(name.status().code(), ErrorCode::kUsage);
    EXPECT_NE(name.status().message().find("did you mean qwen3:4b"), std::string::npos) << name.status().message();
  }
}

// Nothing of this may become part of a path or an address.
TEST(Names, NoNameIsAPath) {
  for (const char* text : {"",      "/",        "a",         "a/",       "/b",     "../b",   "a/..",      "a/../b",
                           "a/b/c", "./b",      "a/b@",      "a/b@../x", "a/b@/x", "a/b@x/", "a/b@x//y",  "a/b@-x",
                           "a/b:",  "a/b:../x", "a/b:Q4/..", "a/b c",    "a/b\n",  "a--x/b", "a/b--c",    "a/b?x",
                           "a/b#x", "a/b%2e",   "-a/b",      "a/.b",     "a/b\\c", "~/b",    "a/b@x:y:z", "a/b@\x01"}) {
    EXPECT_FALSE(parse_model_name(text).ok()) << text;
  }
  for (const char* path :
       {"", ".", "..", "/a", "a/", "a//b", "../a", "a/../b", "a/..", "a\\b", "a\nb", "a/./b", "\x7f"}) {
    EXPECT_FALSE(is_safe_path(path)) << path;
  }
  EXPECT_FALSE(is_safe_path(std::string(300, 'x')));
  EXPECT_FALSE(is_safe_path(std::string("a\0b", 3)));
  EXPECT_TRUE(is_safe_path("folder/..x/a b.gguf"));
}

Result<std::string> chosen(std::vector<std::string> paths, const char* quant = "") {
  std::vector<FileEntry> files;
  for (std::string& path : paths) files.push_back({std::move(path), 10});
  ModelName name;
  name.repo = "a/b";
  name.quant = quant;
  auto choice = choose_files(files, name);
  if (!choice.ok()) return std::move(choice).status();
  std::string out;
  for (const size_t i : choice->files) out += (out.empty() ? "" : " ") + files[i].path;
  EXPECT_EQ(choice->bytes, static_cast<int64_t>(10 * choice->files.size()));
  return out;
}

TEST(ChooseFiles, TheTypeThatWasAskedFor) {
  const std::vector<std::string> files = {"README.md", "m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-UD-Q4_K_XL.gguf",
                                          "mmproj-m-F16.gguf"};
  EXPECT_EQ(*chosen(files), "m-Q4_K_M.gguf");
  EXPECT_EQ(*chosen(files, "q8_0"), "m-Q8_0.gguf");
  EXPECT_EQ(*chosen(files, "Q4_K_XL"), "m-UD-Q4_K_XL.gguf");
  EXPECT_EQ(*chosen({"m-Q8_0.gguf"}), "m-Q8_0.gguf");
  EXPECT_EQ(*chosen({"only.gguf"}), "only.gguf");
  EXPECT_EQ(*chosen({"x.f16.gguf", "x.q5_k_m.gguf"}), "x.q5_k_m.gguf");
  const auto none = chosen(files, "F16");
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.status().message().find("Q4_K_M, Q8_0, UD-Q4_K_XL"), std::string::npos) << none.status().message();
}

TEST(ChooseFiles, AllPartsInOrderOrNone) {
  EXPECT_EQ(*chosen({"q/m-Q8_0-00002-of-00002.gguf", "q/m-Q8_0-00001-of-00002.gguf"}),
            "q/m-Q8_0-00001-of-00002.gguf q/m-Q8_0-00002-of-00002.gguf");
  EXPECT_FALSE(chosen({"m-Q8_0-00002-of-00003.gguf", "m-Q8_0-00001-of-00003.gguf"}).ok());
}

TEST(ChooseFiles, AFolderOfSafetensors) {
  EXPECT_EQ(
      *chosen({"config.json", "figures/a.png", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
               "model.safetensors.index.json", "original/consolidated.safetensors", "tokenizer.json",
               "training_args.bin"}),
      "config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json "
      "tokenizer.json");
  EXPECT_EQ(*chosen({"model.safetensors", "m-Q8_0.gguf"}, "Q4_K_M"), "model.safetensors");  // to be quantised
  EXPECT_FALSE(chosen({"pytorch_model.bin", "config.json"}).ok());
}

}  // namespace
}  // namespace bantam::hub
