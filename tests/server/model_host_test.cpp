// ModelHost where it is about loading: that it can be stopped, and that a budget of memory is kept. Models that open
// when the test says so; the house model where one has to answer.
#include "server/model_host.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "text/tokenizer_loader.h"

namespace bantam::server {
namespace {

// The I/O thread, run by the test.
class Loop {
 public:
  void post(std::function<void()> f) {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(f));
    wake_.notify_one();
  }
  // Until `done` holds; false after a long time.
  bool run_until(const std::function<bool()>& done) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!done()) {
      std::function<void()> f;
      {
        std::unique_lock lock(mutex_);
        if (!wake_.wait_until(lock, until, [&] { return !queue_.empty(); })) return false;
        f = std::move(queue_.front());
        queue_.pop_front();
      }
      f();
    }
    return true;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
};

Result<OpenedModel> open_nano() {
  const std::string folder = BANTAM_SOURCE_DIR "/models/nano";
  BANTAM_TRY_ASSIGN(text::Tokenizer tokenizer, text::load_tokenizer_folder(folder));
  BANTAM_TRY_ASSIGN(Engine engine, Engine::load({folder, {}}, {.threads = 1, .context_tok = 256}));
  return OpenedModel{std::move(engine), std::move(tokenizer), text::TemplateKind::qwen3_hybrid};
}

std::unique_ptr<ModelHost> make_host(Loop& loop, std::vector<ModelSpec> specs, const HostOptions& options = {}) {
  return std::make_unique<ModelHost>(
      std::move(specs), options, [&loop](std::function<void()> f) { loop.post(std::move(f)); },
      [&loop](std::chrono::milliseconds, std::function<void()> f) { loop.post(std::move(f)); });
}

TEST(ModelHost, LoadingCanBeStopped) {
  Loop loop;
  std::atomic<bool> opening = false;
  const auto open = [&](const std::atomic<bool>& stop) -> Result<OpenedModel> {
    opening = true;
    while (!stop) std::this_thread::yield();
    return make_error(ErrorCode::kCancelled, "loading was cancelled");
  };
  auto host = make_host(loop, {{.id = "a", .open = open}});
  std::vector<ErrorCode> heard;
  const auto then = [&](Result<ModelLease> lease) { heard.push_back(lease.status().code()); };
  host->with_model("a", then);
  host->with_model("a", then);
  ASSERT_TRUE(loop.run_until([&] {
    if (!opening) loop.post([] {});
    return opening.load();
  }));
  host->stop_loading();
  EXPECT_EQ(heard, std::vector(2, ErrorCode::kCancelled)) << "whoever waits hears it at once";
  host->with_model("a", then);
  EXPECT_EQ(heard.size(), 3U) << "nothing is loaded any more";
  host.reset();  // returns
}

TEST(ModelHost, ABudgetIsKept) {
  Loop loop;
  const auto open = [](const std::atomic<bool>&) { return open_nano(); };
  constexpr int64_t kBytes = 10'000'000;
  auto host = make_host(loop,
                        {{.id = "a", .bytes = kBytes, .open = open},
                         {.id = "b", .bytes = kBytes, .open = open},
                         {.id = "large", .bytes = 3 * kBytes, .open = open}},
                        {.memory_bytes = 2 * kBytes});
  Result<ModelLease> a = Status(), b = Status(), large = Status();
  bool done = false;
  const auto get = [&](const std::string& id, Result<ModelLease>* out) {
    done = false;
    host->with_model(id, [&done, out](Result<ModelLease> lease) {
      *out = std::move(lease);
      done = true;
    });
    ASSERT_TRUE(loop.run_until([&] { return done; }));
  };
  get("large", &large);
  ASSERT_FALSE(large.ok());
  EXPECT_EQ(large.status().code(), ErrorCode::kNoSpace);
  get("a", &a);
  ASSERT_TRUE(a.ok()) << a.status().message();
  ASSERT_GT((*a)->info.weights_bytes, kBytes) << "this test expects two not to fit";
  get("b", &b);
  ASSERT_FALSE(b.ok()) << "a is in use";
  EXPECT_EQ(b.status().code(), ErrorCode::kNoSpace);
  EXPECT_NE(b.status().message().find("0.020 GB"), std::string::npos) << b.status().message();
  EXPECT_EQ(host->models()[1].state, "unloaded") << "a refusal is no failure to load";
  a = Status();
  // The engine thread has it until it has come by; then nobody uses it.
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!b.ok() && std::chrono::steady_clock::now() < until) get("b", &b);
  ASSERT_TRUE(b.ok()) << b.status().message();
  EXPECT_EQ(host->models()[0].state, "unloaded");
  EXPECT_EQ(host->models()[1].state, "loaded");
}

}  // namespace
}  // namespace bantam::server
