// The pool's promises: every chunk exactly once whatever the number of threads, chunks visible to the caller when
// parallel() returns, workers that slept still answer, floats rounded the default way, and no nesting.
#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bantam {
namespace {

TEST(ThreadPool, EveryChunkExactlyOnce) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (int64_t chunks : {0, 1, 2, 3, 7, 64, 1000}) {
      std::vector<int> calls(static_cast<size_t>(chunks), 0);  // plain: a second owner would be a data race
      pool.parallel(chunks, [&](int64_t i, int worker) {
        EXPECT_GE(worker, 0);
        EXPECT_LT(worker, threads);
        ++calls[static_cast<size_t>(i)];
      });
      EXPECT_EQ(std::accumulate(calls.begin(), calls.end(), 0), chunks);
      for (int n : calls) EXPECT_EQ(n, 1);
    }
  }
}

TEST(ThreadPool, ManyTinyJobsSeeEachOthersResults) {
  ThreadPool pool(3);
  std::vector<int64_t> value(16, 0);
  constexpr int64_t kJobs = 20000;
  for (int64_t job = 0; job < kJobs; ++job) {
    // Each chunk reads what another chunk wrote in the job before.
    std::vector<int64_t> next(16);
    pool.parallel(16,
                  [&](int64_t i, int) { next[static_cast<size_t>(i)] = value[static_cast<size_t>((i + 1) % 16)] + 1; });
    value.swap(next);
  }
  for (int64_t v : value) EXPECT_EQ(v, kJobs);
}

TEST(ThreadPool, JobsOfChangingSizeAndContextDoNotMix) {
  ThreadPool pool(4);
  for (int64_t job = 0; job < 5000; ++job) {
    std::atomic<int64_t> sum{0};
    const int64_t chunks = job % 9;
    pool.parallel(chunks, [&sum, job](int64_t i, int) { sum += job + i; });
    EXPECT_EQ(sum.load(), chunks * job + chunks * (chunks - 1) / 2);
  }
}

TEST(ThreadPool, WorkersThatSleptStillShareTheWork) {
  ThreadPool pool(2);
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));  // far beyond spinning and yielding
    std::atomic<int> in_flight{0};
    std::atomic<bool> together{false};
    // Two chunks that wait for each other: only two threads can finish them.
    pool.parallel(2, [&](int64_t, int) {
      ++in_flight;
      const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      while (in_flight.load() < 2 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
      if (in_flight.load() == 2) together = true;
    });
    EXPECT_TRUE(together.load());
  }
}

TEST(ThreadPool, CallerSleepsUntilASlowChunkEnds) {
  ThreadPool pool(2);
  std::atomic<bool> worker_in{false};
  std::atomic<int> finished{0};
  pool.parallel(2, [&](int64_t, int worker) {
    if (worker == 0) {
      while (!worker_in.load()) std::this_thread::yield();
    } else {
      worker_in = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    ++finished;
  });
  EXPECT_EQ(finished.load(), 2);
}

// One thread stands still in its first chunk; the chunks behind it must not wait for it.
TEST(ThreadPool, ChunksOfAStragglerAreTakenOver) {
  for (int threads : {2, 4}) {
    ThreadPool pool(threads);
    constexpr int64_t kChunks = 64;
    for (int64_t slow : {int64_t{0}, kChunks / 2, kChunks - 1}) {
      std::atomic<int64_t> others{0};
      std::atomic<bool> alone{false};
      pool.parallel(kChunks, [&](int64_t i, int) {
        if (i != slow) {
          ++others;
          return;
        }
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (others.load() < kChunks - 1 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
        alone = others.load() == kChunks - 1;
      });
      EXPECT_TRUE(alone.load()) << threads << " threads, chunk " << slow;
    }
  }
}

// What keeps weights beside the thread that uses them: undisturbed, a thread's chunks are its run, in order.
TEST(ThreadPool, EveryThreadStartsAtItsOwnRun) {
  ThreadPool pool(2);
  std::atomic<int> at_start{0};
  int64_t first[2] = {-1, -1};
  pool.parallel(10, [&](int64_t i, int worker) {
    if (first[worker] >= 0) return;
    first[worker] = i;
    ++at_start;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (at_start.load() < 2 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  });
  EXPECT_EQ(first[0], 0);
  EXPECT_EQ(first[1], 5);
}

TEST(ThreadPool, ManyMoreThreadsThanCores) {
  for (int threads : {32, 64}) {
    ThreadPool pool(threads);
    std::atomic<int64_t> sum{0};
    for (int job = 0; job < 200; ++job) pool.parallel(100, [&](int64_t i, int) { sum += i; });
    EXPECT_EQ(sum.load(), 200 * 4950);
  }
}

TEST(ThreadPool, BuiltAndDestroyedIdleAndBusy) {
  for (int i = 0; i < 200; ++i) {
    ThreadPool pool(1 + i % 5);
    if (i % 2 == 0) continue;  // destroyed before any worker may have woken up
    std::atomic<int> calls{0};
    pool.parallel(8, [&](int64_t, int) { ++calls; });
    EXPECT_EQ(calls.load(), 8);
  }
}

#if defined(__x86_64__)
TEST(ThreadPool, DefaultFloatModeInsideAndRestoredOutside) {
  constexpr unsigned kFlushAndDaz = 0x8040, kRoundUp = 0x4000, kFlags = 0x3F;
  const unsigned before = _mm_getcsr();
  for (int threads : {1, 3}) {
    for (int64_t chunks : {1, 50}) {
      ThreadPool pool(threads);
      _mm_setcsr((before & ~kFlags) | kFlushAndDaz | kRoundUp);
      std::atomic<int> wrong{0};
      pool.parallel(chunks, [&](int64_t, int) { wrong += (_mm_getcsr() & ~kFlags) != 0x1F80; });
      const unsigned after = _mm_getcsr();
      _mm_setcsr(before);
      EXPECT_EQ(wrong.load(), 0);
      EXPECT_EQ(after & ~kFlags, ((before & ~kFlags) | kFlushAndDaz | kRoundUp));
    }
  }
}
#endif

TEST(ThreadPoolDeathTest, NestedUseIsABrokenContract) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        ThreadPool pool(2);
        pool.parallel(2, [&](int64_t, int) { pool.parallel(1, [](int64_t, int) {}); });
      },
      "broken contract");
}

}  // namespace
}  // namespace bantam
