// A token of decode costs no heap allocation: appending it and sampling the next, whatever the sampling.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "bantam/engine.h"
#include "nano.h"

// Sanitizers bring their own operator new; they watch other things.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
namespace {
std::atomic<int64_t> g_allocations = 0;
void* counted(std::size_t size) {
  ++g_allocations;
  if (void* p = std::malloc(size == 0 ? 1 : size)) return p;
  throw std::bad_alloc();
}
}  // namespace
void* operator new(std::size_t size) {
  return counted(size);
}
void* operator new[](std::size_t size) {
  return counted(size);
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete[](void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}
void operator delete[](void* p, std::size_t) noexcept {
  std::free(p);
}

namespace bantam::engine {
namespace {

TEST(Allocation, ATokenOfDecodeAllocatesNothing) {
  for (const int threads : {1, 3}) {
    auto engine = Engine::load({.path = nano_folder()}, {.threads = threads, .context_tok = 1024});
    ASSERT_TRUE(engine.ok()) << engine.status().message();
    auto session = engine->new_session();
    const std::vector<int32_t> prompt = {5, 17, 300, 42, 8};
    ASSERT_TRUE(session->append(prompt).ok());
    // Past several pages of 64 tokens, so that pages are taken and the timeline grows too.
    for (const SamplingOptions& options :
         {SamplingOptions{.temperature = 0}, SamplingOptions{.top_k = 20, .top_p = 0.9}, SamplingOptions{},
          SamplingOptions{.temperature = 3,
          .top_p = 0.99,
          .min_p = 1e-4,
          .presence_penalty = 0.5,
          .frequency_penalty = 0.1,
          .repetition_penalty = 1.1}}) {
      int64_t before = 0;
      for (int i = 0; i < 150; ++i) {
        if (i == 10) before = g_allocations;  // the first token of an engine sizes the sampler's scratch
        const int32_t id = session->sample(options, static_cast<int64_t>(prompt.size())).id;
        ASSERT_TRUE(session->append(std::span(&id, 1)).ok());
      }
      EXPECT_EQ(g_allocations - before, 0) << threads << " threads, temperature " << options.temperature;
    }
  }
}

}  // namespace
}  // namespace bantam::engine
#endif
