// The thread pool's protocol. A job is published by setting `remaining` to its chunk count; whoever moves `remaining`
// from r to r - 1 owns chunk (chunks - r), so chunks are taken in order and a worker that wakes late simply finds
// nothing. The job's fields are read only by owners of a chunk, and the caller rewrites them only after all chunks are
// reported in `completed`: no field is ever read and written at once. Nobody waits for a sleeping worker.
#include "base/thread_pool.h"

#include <sched.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "base/check.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bantam {
namespace {

#if defined(__x86_64__)
void cpu_relax() {
  _mm_pause();
}
// Round to nearest, all exceptions masked, denormals neither flushed nor taken as zero.
constexpr unsigned kDefaultMxcsr = 0x1F80;
constexpr unsigned kMxcsrFlags = 0x3F;  // sticky exception flags: no influence on results

class DefaultFloatMode {
 public:
  DefaultFloatMode() : saved_(_mm_getcsr()) {
    if ((saved_ & ~kMxcsrFlags) != kDefaultMxcsr) _mm_setcsr(kDefaultMxcsr);
  }
  ~DefaultFloatMode() {
    if ((saved_ & ~kMxcsrFlags) != kDefaultMxcsr) _mm_setcsr(saved_);
  }
  DefaultFloatMode(const DefaultFloatMode&) = delete;
  DefaultFloatMode& operator=(const DefaultFloatMode&) = delete;

 private:
  unsigned saved_;
};
#else
void cpu_relax() {
  sched_yield();
}
struct DefaultFloatMode {};
#endif

// Spinning covers the gap between two ops of one layer (a microsecond or two); yielding covers sampling between two
// tokens; beyond that the core belongs to others. A pause is 40 to 140 cycles on current CPUs.
constexpr int kSpins = 200;
constexpr int kYields = 100;

// Waits until ready() by spinning, then yielding. Returns whether it is ready.
template <class Ready>
bool wait_awake(Ready ready) {
  for (int i = 0; i < kSpins; ++i) {
    if (ready()) return true;
    cpu_relax();
  }
  for (int i = 0; i < kYields; ++i) {
    if (ready()) return true;
    sched_yield();
  }
  return ready();
}

}  // namespace

struct ThreadPool::Impl {
  // The job: stable from the claim of its first chunk until its last is reported.
  ChunkFn fn = nullptr;
  void* context = nullptr;
  int64_t chunks = 0;

  alignas(64) std::atomic<int64_t> remaining{0};  // chunks nobody has claimed yet
  alignas(64) std::atomic<int64_t> completed{0};  // chunks whose calls have returned
  alignas(64) std::atomic<bool> running{false};   // a run() is under way
  std::atomic<bool> stop{false};
  std::atomic<int> sleeping_workers{0};
  std::atomic<bool> caller_sleeps{false};
  std::mutex mutex;  // guards the two sleeps only
  std::condition_variable work_published, all_done;
  std::vector<std::thread> workers;

  // Takes chunks until none is left; returns whether it finished the job's last one.
  void take_chunks(int worker) {
    int64_t done = 0, total = 0;
    int64_t r = remaining.load(std::memory_order_acquire);
    while (r > 0) {
      if (!remaining.compare_exchange_weak(r, r - 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
      total = chunks;
      fn(context, total - r, worker);
      ++done;
      r = remaining.load(std::memory_order_acquire);
    }
    if (done == 0) return;
    if (completed.fetch_add(done) + done == total && caller_sleeps.load()) {
      const std::lock_guard lock(mutex);
      all_done.notify_one();
    }
  }

  void work(int worker) {
    const DefaultFloatMode mode;
    const auto wanted = [this] { return remaining.load(std::memory_order_acquire) > 0 || stop.load(); };
    while (!stop.load()) {
      if (!wait_awake(wanted)) {
        std::unique_lock lock(mutex);
        sleeping_workers.fetch_add(1);
        work_published.wait(lock, [this] { return remaining.load() > 0 || stop.load(); });
        sleeping_workers.fetch_sub(1);
      }
      take_chunks(worker);
    }
  }

  void wait_for_all() {
    const auto finished = [this] { return completed.load(std::memory_order_acquire) == chunks; };
    if (wait_awake(finished)) return;
    std::unique_lock lock(mutex);
    caller_sleeps.store(true);
    all_done.wait(lock, [this] { return completed.load() == chunks; });
    caller_sleeps.store(false);
  }
};

ThreadPool::ThreadPool(int threads) : impl_(std::make_unique<Impl>()) {
  BANTAM_CHECK(threads >= 1);
  impl_->workers.reserve(static_cast<size_t>(threads - 1));
  for (int i = 1; i < threads; ++i) impl_->workers.emplace_back([impl = impl_.get(), i] { impl->work(i); });
}

ThreadPool::~ThreadPool() {
  BANTAM_CHECK(!impl_->running.load());
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stop.store(true);
  }
  impl_->work_published.notify_all();
  for (std::thread& t : impl_->workers) t.join();
}

int ThreadPool::threads() const {
  return static_cast<int>(impl_->workers.size()) + 1;
}

void ThreadPool::run(int64_t chunks, ChunkFn fn, void* context) {
  Impl& p = *impl_;
  BANTAM_CHECK(!p.running.exchange(true));  // nested or concurrent use
  const DefaultFloatMode mode;
  if (p.workers.empty() || chunks <= 1) {
    for (int64_t i = 0; i < chunks; ++i) fn(context, i, 0);
  } else {
    p.fn = fn;
    p.context = context;
    p.chunks = chunks;
    p.completed.store(0);
    p.remaining.store(
        chunks);  // sequentially consistent with sleeping_workers: a worker going to sleep sees one of them
    if (p.sleeping_workers.load() > 0) {
      const std::lock_guard lock(p.mutex);
      p.work_published.notify_all();
    }
    p.take_chunks(0);
    p.wait_for_all();
  }
  p.running.store(false);
}

}  // namespace bantam
