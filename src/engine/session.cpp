// The bodies of bantam::Session (include/bantam/session.h) over the runner.
#include "bantam/session.h"

#include <algorithm>

#include "base/check.h"
#include "base/clock.h"
#include "base/result.h"
#include "engine/runner.h"
#include "engine/sampler.h"

namespace bantam {

namespace {
constexpr int64_t kFirstChunkTok = 64;
constexpr double kQuickChunkMs = 400;
}  // namespace

Session::Session(std::unique_ptr<SessionImpl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Status Session::append(std::span<const int32_t> tokens, const PrefillProgress& progress,
                       const std::atomic<bool>* cancel) {
  EngineImpl& engine = *impl_->engine_;
  const auto total = static_cast<int64_t>(tokens.size());
  BANTAM_TRY(engine.check_room(*impl_, size(), tokens));
  // Somebody who watches or may cancel gets small chunks until the speed is known: a large one can take a minute.
  // Chunking never changes a bit of the result.
  const bool watched = progress || cancel != nullptr;
  int64_t chunk = watched ? std::min(kFirstChunkTok, engine.options().chunk_tok) : engine.options().chunk_tok;
  const auto cancelled = [&] { return cancel != nullptr && cancel->load(std::memory_order_relaxed); };
  for (int64_t done = 0; done < total;) {
    if (cancelled()) return make_error(ErrorCode::kCancelled, "stopped after {} of {} tokens", done, total);
    const int64_t n = std::min(chunk, total - done);
    const Stopwatch watch;
    const bool last = done + n == total;
    const EngineImpl::Part part{impl_.get(), tokens.subspan(static_cast<size_t>(done), static_cast<size_t>(n)),
                                last ? EngineImpl::Rows::kLast : EngineImpl::Rows::kNone};
    BANTAM_TRY(engine.run(std::span(&part, 1)));
    done += n;
    if (watch.elapsed_ms() < kQuickChunkMs) chunk = std::min(2 * chunk, engine.options().chunk_tok);
    if (last) {
      const float* row = engine.workspace_logits();
      impl_->logits_.assign(row, row + engine.info().vocab_rows);
      impl_->has_logits_ = true;
    }
    if (progress && !progress(done, total) && !last) {
      return make_error(ErrorCode::kCancelled, "stopped after {} of {} tokens", done, total);
    }
  }
  return {};
}

Result<int64_t> Session::sync(std::span<const int32_t> tokens, const PrefillProgress& progress,
                              const std::atomic<bool>* cancel) {
  if (tokens.empty()) return usage_error("sync: expected at least one token");
  if (static_cast<int64_t>(tokens.size()) > capacity()) {
    return make_error(ErrorCode::kContextFull, "the prompt has {} tokens, the context holds {}", tokens.size(),
                      capacity());
  }
  const std::vector<int32_t>& have = impl_->tokens_;
  const auto common = std::mismatch(have.begin(), have.end(), tokens.begin(), tokens.end()).first - have.begin();
  int64_t kept = common;
  // The last token is fed again when its logits are gone.
  if (kept == static_cast<int64_t>(tokens.size()) && !(kept == size() && has_logits())) --kept;
  BANTAM_TRY(impl_->engine_->check_room(*impl_, kept, tokens.subspan(static_cast<size_t>(kept))));
  truncate(kept);
  BANTAM_TRY(append(tokens.subspan(static_cast<size_t>(kept)), progress, cancel));
  return kept;
}

void Session::truncate(int64_t n) {
  impl_->engine_->truncate(*impl_, n);
}

Result<Session> Session::fork() const {
  auto copy = std::make_unique<SessionImpl>(impl_->engine_);
  BANTAM_TRY(impl_->engine_->fork(*impl_, copy.get()));
  return Session(std::move(copy));
}

Result<int64_t> Session::save(const std::string& path) const {
  return impl_->engine_->save(*impl_, path);
}
Result<int64_t> Session::restore(const std::string& path) {
  return impl_->engine_->restore(*impl_, path);
}

Sampled Session::sample(const SamplingOptions& options, int64_t generated_from) const {
  BANTAM_CHECK(has_logits());
  const std::span<const int32_t> context = tokens();
  const auto from = static_cast<size_t>(std::clamp<int64_t>(generated_from, 0, size()));
  EngineImpl& engine = *impl_->engine_;
  return engine::sample_token(impl_->logits_, engine.mask(), options, context, context.subspan(from), size(),
                              engine.sampler_scratch());
}

std::span<const float> Session::logits() const {
  return impl_->logits_;
}
bool Session::has_logits() const {
  return impl_->has_logits_;
}
std::span<const int32_t> Session::tokens() const {
  return impl_->tokens_;
}
int64_t Session::size() const {
  return static_cast<int64_t>(impl_->tokens_.size());
}
int64_t Session::capacity() const {
  return impl_->engine_->info().context_tok;
}

}  // namespace bantam
