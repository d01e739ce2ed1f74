// The thread pool's protocol. A job's chunks are dealt out as one run per thread: the same job gives the same thread
// the same chunks every time, so a thread meets the memory it touched first (its own node's, where there are nodes)
// and reads it as one forward stream. Whoever is done with its run takes single chunks from the far ends of others'.
//
// A run is one 64-bit word, {begin, end}. Moving begin (its owner) or end (a thief) claims a chunk, so the word is the
// whole truth about who owns what, however late somebody looks. The job's fields are read only by owners of a chunk,
// and the caller rewrites them only after all chunks are reported in `completed`: no field is ever read and written at
// once. `epoch` counts jobs; workers wait for it to change, the caller for `completed`. Nobody waits for a sleeping
// worker.
#include "base/thread_pool.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <limits>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/cpu_features.h"
#include "base/numa.h"

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

// Spinning covers the gaps between the ops of a layer and the last chunk of an op; beyond that the core belongs to
// others, and the way to give it away is to sleep: the scheduler owes a sleeper time and lets it in at once when it is
// woken, so on a busy machine all threads of a job run together, while one that keeps yielding forfeits its turn each
// time. Beside a two-job compile on two cores decode keeps 48 % of its quiet speed so, and 28 % with 100 yields
// before the sleep; any spin from 20 to 100 us gives the same.
constexpr std::chrono::microseconds kSpin{50};
constexpr int kChecksPerClock = 32;  // a pause is 40 to 140 cycles, reading the clock about 25 ns

void futex_wait(std::atomic<uint32_t>& word, uint32_t expected) {
  ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}
void futex_wake_all(std::atomic<uint32_t>& word) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, std::numeric_limits<int>::max(), nullptr, nullptr, 0);
}
static_assert(sizeof(std::atomic<uint32_t>) == 4, "a futex is the bare word");

struct alignas(64) Run {
  std::atomic<uint64_t> word{0};  // begin in the low half, end in the high one

  static uint64_t pack(uint64_t begin, uint64_t end) { return begin | end << 32; }

  // A chunk from the front or the back, or -1.
  int64_t claim(bool front) {
    uint64_t w = word.load(std::memory_order_acquire);
    for (;;) {
      const uint64_t begin = w & 0xFFFFFFFFu, end = w >> 32;
      if (begin >= end) return -1;
      const uint64_t rest = front ? pack(begin + 1, end) : pack(begin, end - 1);
      if (word.compare_exchange_weak(w, rest, std::memory_order_acq_rel, std::memory_order_acquire)) {
        return static_cast<int64_t>(front ? begin : end - 1);
      }
    }
  }
};

void stay_on_node(const std::vector<int>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int cpu : cpus) {
    if (cpu < CPU_SETSIZE) CPU_SET(cpu, &set);
  }
  ::sched_setaffinity(0, sizeof set, &set);  // a wish: without it the thread is only slower
}

}  // namespace

struct ThreadPool::Impl {
  // The job: stable from the claim of its first chunk until its last is reported.
  ChunkFn fn = nullptr;
  void* context = nullptr;
  uint32_t chunks = 0;

  std::vector<Run> runs;                           // one per thread, the caller's first
  alignas(64) std::atomic<uint32_t> epoch{0};      // jobs published; workers sleep on it
  alignas(64) std::atomic<uint32_t> completed{0};  // chunks whose calls have returned; the caller sleeps on it
  alignas(64) std::atomic<int> sleeping_workers{0};
  std::atomic<bool> caller_sleeps{false};
  std::atomic<bool> stop{false};
  std::atomic<bool> running{false};  // a run() is under way
  std::chrono::microseconds spin{0};
  std::vector<std::vector<int>> nodes;
  std::vector<std::thread> workers;

  explicit Impl(int threads) : runs(static_cast<size_t>(threads)) {
    if (threads <= cpu_features().cores) spin = kSpin;  // else whom we wait for may need this core
  }

  // Waits awake for a moment. Returns whether it is ready.
  template <class Ready>
  bool wait_awake(Ready ready) const {
    const auto begin = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - begin < spin) {
      for (int i = 0; i < kChecksPerClock; ++i) {
        if (ready()) return true;
        cpu_relax();
      }
    }
    return ready();
  }

  int64_t claim(size_t worker) {
    if (const int64_t own = runs[worker].claim(true); own >= 0) return own;
    for (size_t i = 1; i < runs.size(); ++i) {
      const size_t other = worker + i < runs.size() ? worker + i : worker + i - runs.size();
      if (const int64_t chunk = runs[other].claim(false); chunk >= 0) return chunk;
    }
    return -1;
  }

  // Takes chunks until none is left.
  void take_chunks(int worker) {
    uint32_t done = 0, total = 0;
    for (int64_t chunk; (chunk = claim(static_cast<size_t>(worker))) >= 0; ++done) {
      total = chunks;
      fn(context, chunk, worker);
    }
    if (done == 0) return;
    if (completed.fetch_add(done) + done == total && caller_sleeps.load()) futex_wake_all(completed);
  }

  void work(int worker) {
    const DefaultFloatMode mode;
    if (nodes.size() > 1) stay_on_node(nodes[static_cast<size_t>(worker) * nodes.size() / runs.size()]);
    uint32_t seen = 0;
    while (!stop.load()) {
      const auto published = [&] { return epoch.load(std::memory_order_acquire) != seen; };
      if (!wait_awake(published)) {
        // Counted before the kernel compares the epoch: either the caller sees a sleeper or the epoch has changed.
        sleeping_workers.fetch_add(1);
        while (!published()) futex_wait(epoch, seen);
        sleeping_workers.fetch_sub(1);
      }
      seen = epoch.load(std::memory_order_acquire);
      take_chunks(worker);
    }
  }

  void publish() {
    epoch.fetch_add(1);
    if (sleeping_workers.load() > 0) futex_wake_all(epoch);
  }

  void deal(uint32_t count) {
    const uint64_t threads = runs.size();
    for (uint64_t i = 0; i < threads; ++i) {
      runs[i].word.store(Run::pack(i * count / threads, (i + 1) * count / threads), std::memory_order_release);
    }
  }

  void wait_for_all() {
    if (wait_awake([this] { return completed.load(std::memory_order_acquire) == chunks; })) return;
    caller_sleeps.store(true);
    for (uint32_t done; (done = completed.load()) != chunks;) futex_wait(completed, done);
    caller_sleeps.store(false);
  }
};

ThreadPool::ThreadPool(int threads) {
  BANTAM_CHECK(threads >= 1);
  impl_ = std::make_unique<Impl>(threads);
  if (threads > 1) impl_->nodes = numa_nodes();
  impl_->workers.reserve(static_cast<size_t>(threads - 1));
  for (int i = 1; i < threads; ++i) impl_->workers.emplace_back([impl = impl_.get(), i] { impl->work(i); });
}

ThreadPool::~ThreadPool() {
  BANTAM_CHECK(!impl_->running.load());
  impl_->stop.store(true);
  impl_->publish();
  for (std::thread& t : impl_->workers) t.join();
}

int ThreadPool::threads() const {
  return static_cast<int>(impl_->runs.size());
}

void ThreadPool::run(int64_t chunks, ChunkFn fn, void* context) {
  Impl& p = *impl_;
  BANTAM_CHECK(!p.running.exchange(true));  // nested or concurrent use
  BANTAM_CHECK(chunks <= std::numeric_limits<int32_t>::max());
  const DefaultFloatMode mode;
  if (p.workers.empty() || chunks <= 1) {
    for (int64_t i = 0; i < chunks; ++i) fn(context, i, 0);
  } else {
    p.fn = fn;
    p.context = context;
    p.chunks = static_cast<uint32_t>(chunks);
    p.completed.store(0);
    p.deal(p.chunks);
    p.publish();
    p.take_chunks(0);
    p.wait_for_all();
  }
  p.running.store(false);
}

}  // namespace bantam
