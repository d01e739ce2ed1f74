// A fixed set of worker threads with a low-latency barrier: workers spin briefly and then sleep, so that a busy machine
// is shared and an idle one answers in about a microsecond. Passed to whoever computes, never global.
// Chunks are dealt out in one run per thread, in order, and stragglers are helped chunk by chunk; on machines with
// several memory nodes threads stay on theirs. So jobs that cut the same data the same way meet it where it lies.
// One caller at a time (the engine's thread); every worker and the caller run with the default MXCSR (round to
// nearest, denormals kept), because equal bits on every machine depend on it.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace bantam {

class ThreadPool {
 public:
  // threads >= 1, counting the caller. threads == 1 starts none.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  // Calls f(chunk, worker) once for every chunk in [0, chunks), worker in [0, threads()); returns when all are done.
  // Which worker takes which chunk is not defined: results must not depend on it. f must not throw.
  // REQUIRES: chunks < 2^31. Allocates nothing.
  template <class F>
  void parallel(int64_t chunks, F&& f) {
    using Fn = std::remove_reference_t<F>;
    run(
        chunks, [](void* context, int64_t chunk, int worker) { (*static_cast<Fn*>(context))(chunk, worker); },
        const_cast<void*>(static_cast<const void*>(&f)));
  }

 private:
  using ChunkFn = void (*)(void* context, int64_t chunk, int worker);
  void run(int64_t chunks, ChunkFn fn, void* context);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bantam
