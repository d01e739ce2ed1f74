// The cache's layout: what is found, what a removal takes along and what it leaves.
#include "hub/cache.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/mmap.h"
#include "hub/partial_file.h"
#include "hub/quantized.h"
#include "hub/removal.h"

namespace bantam::hub {
namespace {

namespace fs = std::filesystem;

const std::string kOld(40, '1'), kNew(40, '2');

std::string hash_of(char digit) {
  return std::string(64, digit);
}

class CacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / "bantam-hub-cache";
    fs::remove_all(folder_);
    cache_ = Cache(folder_);
    ASSERT_TRUE(cache_.prepare("a/b").ok());
  }
  void TearDown() override { fs::remove_all(folder_); }

  void add(const std::string& commit, const std::string& file, char digit, size_t bytes = 1000) {
    const std::string blob = cache_.blob_path("a/b", hash_of(digit));
    std::ofstream(blob) << std::string(bytes, 'x');
    ASSERT_TRUE(cache_.link("a/b", commit, file, hash_of(digit)).ok());
  }
  static ModelName name(const std::string& text) { return *parse_model_name(text); }
  bool has_blob(char digit) const { return file_exists(cache_.blob_path("a/b", hash_of(digit))); }

  fs::path folder_;
  Cache cache_{""};
};

TEST_F(CacheTest, LinksAreRelativeAsHuggingfaceHubMakesThem) {
  add(kOld, "m-Q8_0.gguf", 'a');
  add(kOld, "sub/n-Q4_0.gguf", 'b');
  const fs::path snapshot = folder_ / "models--a--b" / "snapshots" / kOld;
  EXPECT_EQ(fs::read_symlink(snapshot / "m-Q8_0.gguf"), "../../blobs/" + hash_of('a'));
  EXPECT_EQ(fs::read_symlink(snapshot / "sub/n-Q4_0.gguf"), "../../../blobs/" + hash_of('b'));
  ASSERT_TRUE(cache_.link("a/b", kOld, "m-Q8_0.gguf", hash_of('b')).ok());  // replaced in place
  EXPECT_EQ(fs::read_symlink(snapshot / "m-Q8_0.gguf"), "../../blobs/" + hash_of('b'));
}

TEST_F(CacheTest, RevisionsAndTypes) {
  add(kOld, "m-Q8_0.gguf", 'a');
  add(kNew, "m-Q8_0.gguf", 'b');
  add(kNew, "m-Q4_K_M.gguf", 'c');
  ASSERT_TRUE(cache_.write_ref("a/b", "main", kNew).ok());
  ASSERT_TRUE(cache_.write_ref("a/b", "refs/pr/1", kOld).ok());
  const std::string base = folder_ / "models--a--b/snapshots/";
  EXPECT_EQ(cache_.find(name("a/b"))->path, base + kNew + "/m-Q4_K_M.gguf");
  EXPECT_EQ(cache_.find(name("a/b:q8_0"))->path, base + kNew + "/m-Q8_0.gguf");
  EXPECT_EQ(cache_.find(name("a/b@refs/pr/1"))->path, base + kOld + "/m-Q8_0.gguf");
  EXPECT_EQ(cache_.find(name("a/b@" + kOld))->path, base + kOld + "/m-Q8_0.gguf");
  for (const char* missing : {"a/b:F16", "a/b@nope", "a/c", "qwen3:4b"}) {
    const auto found = cache_.find(name(missing));
    ASSERT_FALSE(found.ok()) << missing;
    EXPECT_NE(found.status().message().find("bantam pull " + std::string(missing)), std::string::npos)
        << found.status().message();
  }
}

TEST_F(CacheTest, ALinkWithoutItsBlobIsNotThere) {
  add(kNew, "m-Q8_0.gguf", 'a');
  fs::remove(cache_.blob_path("a/b", hash_of('a')));
  EXPECT_FALSE(cache_.find(name("a/b")).ok());
}

TEST_F(CacheTest, ARefThatPointsOutsideIsNoRef) {
  add(kNew, "m-Q8_0.gguf", 'a');
  fs::create_directories(folder_ / "models--a--b/refs");
  std::ofstream(folder_ / "models--a--b/refs/v1") << "../../../../etc";
  EXPECT_FALSE(cache_.find(name("a/b@v1")).ok());
}

TEST_F(CacheTest, RemovalLeavesWhatOthersUse) {
  add(kOld, "m-Q8_0.gguf", 'a');
  add(kNew, "m-Q8_0.gguf", 'a');  // the same file at two commits
  add(kNew, "m-Q4_K_M.gguf", 'b', 5000);
  add(kNew, "copy-Q4_K_M.txt", 'b', 5000);  // the same bytes by another name
  const auto q8 = plan_removal(cache_, name("a/b:Q8_0"));
  ASSERT_TRUE(q8.ok());
  EXPECT_EQ(q8->bytes, 1000);
  ASSERT_TRUE(remove(*q8).ok());
  EXPECT_FALSE(has_blob('a'));
  EXPECT_TRUE(has_blob('b'));
  EXPECT_FALSE(plan_removal(cache_, name("a/b:Q8_0")).ok());
  EXPECT_TRUE(cache_.find(name("a/b:Q4_K_M")).ok());
  // The last weights take the repository with them.
  const auto rest = plan_removal(cache_, name("a/b:Q4_K_M"));
  ASSERT_TRUE(rest.ok());
  EXPECT_EQ(rest->bytes, 5000);
  ASSERT_TRUE(remove(*rest).ok());
  EXPECT_FALSE(fs::exists(folder_ / "models--a--b"));
}

TEST_F(CacheTest, RemovalKeepsASharedBlob) {
  add(kNew, "m-Q8_0.gguf", 'a');
  add(kNew, "n-F16.gguf", 'a');
  ASSERT_TRUE(remove(*plan_removal(cache_, name("a/b:Q8_0"))).ok());
  EXPECT_TRUE(has_blob('a'));
  EXPECT_TRUE(cache_.find(name("a/b:F16")).ok());
}

TEST_F(CacheTest, NothingIsRemovedUnderADownload) {
  add(kNew, "m-Q8_0.gguf", 'a');
  const BlobSpec spec{cache_.blob_path("a/b", hash_of('c')), hash_of('c'), "m-Q4_0.gguf", 9000};
  ASSERT_TRUE(PartialFile::open(spec, 4096, nullptr).ok());
  {
    const auto lock = FileLock::take(cache_.lock_path("a/b", hash_of('c')), nullptr, nullptr);
    ASSERT_TRUE(lock.ok());
    EXPECT_FALSE(plan_removal(cache_, name("a/b")).ok());
  }
  const auto unfinished = plan_removal(cache_, name("a/b:Q4_0"));
  ASSERT_TRUE(unfinished.ok());
  ASSERT_TRUE(remove(*unfinished).ok());
  EXPECT_TRUE(list_unfinished(folder_ / "models--a--b/blobs").empty());
  EXPECT_TRUE(has_blob('a'));
}

TEST_F(CacheTest, ALockIsForOne) {
  const std::string path = cache_.lock_path("a/b", hash_of('a'));
  int waits = 0;
  const auto first = FileLock::take(path, nullptr, nullptr);
  ASSERT_TRUE(first.ok());
  const auto second = FileLock::take(
      path, [&] { ++waits; }, [] { return false; });
  EXPECT_EQ(second.status().code(), ErrorCode::kCancelled);
  EXPECT_EQ(waits, 1);
}

TEST_F(CacheTest, QuantisedOnesByRepositoryAndType) {
  const std::string path = quantized_path(folder_, "a/b", "q4_k_m");
  EXPECT_EQ(path, (folder_ / "a--b/b-Q4_K_M.gguf").string());
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path) << "GGUF";
  EXPECT_EQ(find_quantized(folder_, name("a/b:Q4_K_M")).size(), 1u);
  EXPECT_EQ(find_quantized(folder_, name("a/b")).size(), 1u);
  EXPECT_EQ(find_quantized(folder_, name("a/b:Q8_0")).size(), 0u);
  EXPECT_EQ(find_quantized(folder_, name("a/c:Q4_K_M")).size(), 0u);
}

}  // namespace
}  // namespace bantam::hub
