// The packed cache from the outside: the second load reads what the first one packed, bit for bit; damage, other
// models and cancelled loads are handled; the folder stays within its size.
#include "engine/packed_cache.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "nano.h"

namespace bantam::engine {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class PackedCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / "bantam-packed-cache";
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "model");
    for (const char* file : {"config.json", "generation_config.json", "model.safetensors"}) {
      fs::copy_file(fs::path(nano_folder()) / file, model() / file);
    }
    options_.threads = 2;
    options_.context_tok = 128;
    options_.packed_cache = {.folder = folder_ / "cache", .min_model_bytes = 0};
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path model() const { return folder_ / "model"; }
  fs::path weights() const { return model() / "model.safetensors"; }
  std::vector<fs::path> files() const {
    std::vector<fs::path> out;
    std::error_code error;
    for (fs::directory_iterator it(folder_ / "cache", error), end; !error && it != end; ++it) out.push_back(it->path());
    return out;
  }

  struct Run {
    bool from_cache;
    std::string note;
    std::vector<float> logits;
  };
  // Loads, feeds a few tokens, and lets the cache be written.
  Run run() {
    auto engine = Engine::load({.path = model()}, options_);
    EXPECT_TRUE(engine.ok()) << engine.status().message();
    auto session = engine->new_session();
    const std::vector<int32_t> tokens = {5, 17, 300, 42, 8};
    EXPECT_TRUE(session->append(tokens).ok());
    const auto logits = session->logits();
    return {engine->info().from_packed_cache, engine->info().packed_cache_note, {logits.begin(), logits.end()}};
  }
  void expect_rebuilt(const std::vector<float>& logits) {
    const Run repaired = run(), again = run();
    EXPECT_FALSE(repaired.from_cache);
    EXPECT_NE(repaired.note.find("made again"), std::string::npos) << repaired.note;
    EXPECT_EQ(repaired.logits, logits);
    EXPECT_TRUE(again.from_cache);
    EXPECT_EQ(again.note, "");
    EXPECT_EQ(again.logits, logits);
  }

  fs::path folder_;
  EngineOptions options_;
};

TEST_F(PackedCacheTest, TheSecondLoadReadsWhatTheFirstPacked) {
  const Run first = run();
  EXPECT_FALSE(first.from_cache);
  EXPECT_EQ(first.note, "");
  ASSERT_EQ(files().size(), 1u) << "and no temporary";
  for (const int threads : {1, 2, 5}) {
    options_.threads = threads;
    const Run again = run();
    EXPECT_TRUE(again.from_cache);
    EXPECT_EQ(again.logits, first.logits) << threads << " threads";
  }
  EXPECT_EQ(files().size(), 1u);
  const auto entries = PackedCache(options_.packed_cache).list();
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].model, "model");
  EXPECT_EQ(entries[0].bytes, static_cast<int64_t>(fs::file_size(files()[0])));
}

TEST_F(PackedCacheTest, NothingIsKeptWhenNotAskedFor) {
  options_.packed_cache.min_model_bytes = int64_t{1} << 40;
  run();
  options_.packed_cache.min_model_bytes = 0;
  options_.packed_cache.max_bytes = 0;
  run();
  options_.packed_cache.max_bytes = 1000;  // less than the model
  EXPECT_EQ(run().note, "");
  EXPECT_TRUE(files().empty());
  options_.packed_cache = {};
  run();
  EXPECT_TRUE(files().empty());
}

TEST_F(PackedCacheTest, DamagedCutAndForeignFilesAreSaidAndMadeAgain) {
  const std::vector<float> logits = run().logits;
  const fs::path file = files().at(0);
  {
    std::fstream damage(file, std::ios::in | std::ios::out | std::ios::binary);
    damage.seekp(-100, std::ios::end);
    damage.put('\x55');
  }
  expect_rebuilt(logits);
  fs::resize_file(file, fs::file_size(file) / 2);
  expect_rebuilt(logits);
  std::ofstream(file, std::ios::binary) << "something else";
  expect_rebuilt(logits);
  EXPECT_EQ(files(), std::vector<fs::path>{file});
}

TEST_F(PackedCacheTest, AFileOfAnotherModelUnderThisNameIsRefused) {
  const std::vector<float> logits = run().logits;
  const fs::path file = files().at(0);
  fs::last_write_time(weights(), fs::last_write_time(weights()) - 1h);
  run();
  ASSERT_EQ(files().size(), 2u) << "another time, another key";
  const fs::path other = files()[0] == file ? files()[1] : files()[0];
  fs::rename(file, other);
  expect_rebuilt(logits);
}

TEST_F(PackedCacheTest, AMovedModelIsTheSameAndAnotherOneOfTheSameTimeIsNot) {
  run();
  const auto time = fs::last_write_time(weights());
  fs::rename(model(), folder_ / "elsewhere");
  fs::rename(folder_ / "elsewhere", model());
  fs::copy_file(weights(), model() / "copy");
  fs::rename(model() / "copy", weights());
  fs::last_write_time(weights(), time);
  EXPECT_TRUE(run().from_cache);
  // Other weights of the same shapes, size and time: every tensor's data inverted.
  std::string text = *read_file(weights());
  uint64_t header = 0;
  std::memcpy(&header, text.data(), sizeof header);
  for (size_t i = 8 + header; i < text.size(); ++i) text[i] = static_cast<char>(text[i] ^ 0x01);
  std::ofstream(weights(), std::ios::binary) << text;
  fs::last_write_time(weights(), time);
  EXPECT_FALSE(run().from_cache);
  EXPECT_EQ(files().size(), 2u);
}

TEST_F(PackedCacheTest, ACancelledLoadIsCancelledAndHarmsNothing) {
  run();
  int calls = 0;
  const auto stop_at_once = [&](int64_t, int64_t) { return ++calls < 0; };
  const auto engine = Engine::load({.path = model()}, options_, stop_at_once);
  // A model this small may be read before there is anything to report.
  if (calls > 0) {
    EXPECT_EQ(engine.status().code(), ErrorCode::kCancelled);
  }
  EXPECT_TRUE(run().from_cache);
}

TEST_F(PackedCacheTest, TheLeastRecentlyUsedGoFirst) {
  run();
  const fs::path first = files().at(0);
  const auto size = static_cast<int64_t>(fs::file_size(first));
  const auto now = fs::file_time_type::clock::now();
  fs::last_write_time(first, now - 3h);
  const auto dummy = [&](const std::string& name, std::chrono::hours age) {
    const fs::path path = folder_ / "cache" / name;
    std::ofstream(path) << std::string(static_cast<size_t>(size), 'x');
    fs::last_write_time(path, now - age);
    return path;
  };
  const fs::path older = dummy("older.packed", 2h), newer = dummy("newer.packed", 1h);
  const fs::path notes = folder_ / "cache" / "notes.txt", part = folder_ / "cache" / "k.packed.part-1999999999";
  std::ofstream(notes) << "not of the cache";
  std::ofstream(part) << "left by a writer that was killed";
  EXPECT_TRUE(run().from_cache) << "now the most recently used";
  fs::last_write_time(weights(), fs::last_write_time(weights()) - 1h);  // another key: needs room
  options_.packed_cache.max_bytes = 3 * size + size / 2;
  run();
  EXPECT_TRUE(fs::exists(first));
  EXPECT_FALSE(fs::exists(older));
  EXPECT_TRUE(fs::exists(newer));
  EXPECT_TRUE(fs::exists(notes));
  EXPECT_FALSE(fs::exists(part));
  PackedCache cache(options_.packed_cache);
  EXPECT_EQ(cache.list().size(), 3u);
  EXPECT_GT(*cache.clear(), 2 * size);
  EXPECT_EQ(files(), std::vector<fs::path>{notes});
}

TEST_F(PackedCacheTest, AFileThatSomebodyIsWritingIsLeftToHim) {
  run();
  const fs::path file = files().at(0);
  fs::remove(file);
  const fs::path part = file.string() + ".part-" + std::to_string(::getpid());
  std::ofstream(part) << "half";
  EXPECT_EQ(run().note, "");
  EXPECT_EQ(files(), std::vector<fs::path>{part});
  fs::rename(part, file.string() + ".part-1999999999");  // nobody's
  run();
  EXPECT_EQ(files(), std::vector<fs::path>{file});
}

TEST_F(PackedCacheTest, AFolderThatCannotBeIsANoteAndNoError) {
  std::ofstream(folder_ / "file") << "x";
  options_.packed_cache.folder = folder_ / "file" / "cache";
  const Run first = run();
  EXPECT_FALSE(first.from_cache);
  EXPECT_NE(first.note.find("not kept"), std::string::npos) << first.note;
}

// The order for machines with several memory nodes: all pieces, each once, and equal runs of it for the threads are
// the parts of the matrices that the pool gives them.
TEST_F(PackedCacheTest, FirstTouchFollowsTheThreadsShares) {
  const auto checkpoint = formats::Checkpoint::open(model());
  ThreadPool pool(1);
  const model::Weights weights = std::move(*model::load_weights(*checkpoint, pool));
  constexpr int64_t kPiece = 4096;
  const auto order = model::first_touch_order(weights, kPiece, 2);
  std::vector<int32_t> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  ASSERT_EQ(static_cast<int64_t>(sorted.size()), (weights.packed_bytes + kPiece - 1) / kPiece);
  for (size_t i = 0; i < sorted.size(); ++i) ASSERT_EQ(sorted[i], static_cast<int32_t>(i));
  const auto place = [&](const std::byte* data) {
    const auto piece = static_cast<int32_t>((data - weights.storage.data()) / kPiece);
    return std::find(order.begin(), order.end(), piece) - order.begin();
  };
  const kernels::PackedMatrix& down = weights.layers.back().down.weight;
  const int64_t bytes = kernels::packed_bytes(down.dtype, down.rows, down.cols);
  const auto half = static_cast<int64_t>(order.size() / 2);
  EXPECT_LT(place(down.data + bytes / 4), half);
  EXPECT_GE(place(down.data + bytes * 3 / 4), half);
}

}  // namespace
}  // namespace bantam::engine
