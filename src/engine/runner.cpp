// Steps: from sessions' new tokens to a batch, one forward, and back. See runner.h.
#include "engine/runner.h"

#include <algorithm>

#include "base/check.h"
#include "base/result.h"

namespace bantam {

using kernels::kPageTok;

namespace {
int64_t page_count(int64_t tok) {
  return (tok + kPageTok - 1) / kPageTok;
}

Status pool_full(int64_t needed, int64_t free) {
  return make_error(ErrorCode::kContextFull, "the pool of keys and values is full: {} pages are needed, {} are free",
                    needed, free);
}
}  // namespace

SessionImpl::~SessionImpl() {
  for (auto page = pages_.rbegin(); page != pages_.rend(); ++page) engine_->kv().release(*page);
}

SessionImpl::SessionImpl(EngineImpl* engine) : engine_(engine) {
  const int64_t context = engine_->info().context_tok;
  tokens_.reserve(static_cast<size_t>(context));
  pages_.reserve(static_cast<size_t>(page_count(context)));
}

// Pages to allocate when `new_tok` tokens follow the first `kept`: new ones, and a copy of the page being written when
// others share it.
int64_t EngineImpl::pages_needed(const SessionImpl& session, int64_t kept, int64_t new_tok) const {
  int64_t pages = page_count(kept + new_tok) - page_count(kept);
  if (new_tok > 0 && kept % kPageTok != 0) {
    const int32_t written = session.pages_[static_cast<size_t>(page_count(kept)) - 1];
    if (kv_.references(written) > 1) ++pages;
  }
  return pages;
}

void EngineImpl::grow(SessionImpl& session, int64_t new_tok) {
  const auto size = static_cast<int64_t>(session.tokens_.size());
  if (size % kPageTok != 0 && kv_.references(session.pages_.back()) > 1) {
    const int32_t own = kv_.allocate();
    kv_.copy(session.pages_.back(), own);
    kv_.release(session.pages_.back());
    session.pages_.back() = own;
  }
  while (static_cast<int64_t>(session.pages_.size()) < page_count(size + new_tok))
    session.pages_.push_back(kv_.allocate());
}

Status EngineImpl::check_tokens(int64_t kept, std::span<const int32_t> tokens) const {
  const auto n = static_cast<int64_t>(tokens.size());
  if (kept + n > info_.context_tok) {
    return make_error(ErrorCode::kContextFull, "the context is full: {} tokens are there, {} more do not fit into {}",
                      kept, n, info_.context_tok);
  }
  for (int32_t id : tokens) {
    if (id < 0 || id >= info_.vocab_rows) return bad_input("token id {}: expected 0 to {}", id, info_.vocab_rows - 1);
  }
  return {};
}

Status EngineImpl::check_room(const SessionImpl& session, int64_t kept, std::span<const int32_t> tokens) const {
  BANTAM_TRY(check_tokens(kept, tokens));
  int64_t free = kv_.free_pages();
  for (auto i = static_cast<size_t>(page_count(kept)); i < session.pages_.size(); ++i) {
    if (kv_.references(session.pages_[i]) == 1) ++free;  // truncating gives it back
  }
  const int64_t needed = pages_needed(session, kept, static_cast<int64_t>(tokens.size()));
  return needed <= free ? Status() : pool_full(needed, free);
}

Status EngineImpl::check(std::span<const Part> parts) const {
  int64_t total = 0, pages = 0, rows = 0;
  for (const Part& part : parts) {
    const auto n = static_cast<int64_t>(part.tokens.size());
    const auto size = static_cast<int64_t>(part.session->tokens_.size());
    if (n == 0) return usage_error("step: expected at least one token per session");
    if (part.session->engine_ != this) return usage_error("step: a session belongs to another engine");
    BANTAM_TRY(check_tokens(size, part.tokens));
    total += n;
    pages += pages_needed(*part.session, size, n);
    rows += part.rows == Rows::kAll ? n : part.rows == Rows::kLast ? 1 : 0;
  }
  if (total > options_.chunk_tok)
    return usage_error("step: expected at most {} tokens, got {}", options_.chunk_tok, total);
  if (rows > workspace_.limits.max_logit_rows) {
    return usage_error("step: expected at most {} rows of logits, got {}", workspace_.limits.max_logit_rows, rows);
  }
  return pages <= kv_.free_pages() ? Status() : pool_full(pages, kv_.free_pages());
}

Status EngineImpl::run(std::span<const Part> parts, float* logits, model::Saved* saved) {
  BANTAM_TRY(check(parts));
  if (parts.empty()) return {};
  paged_.clear();
  for (const Part& part : parts) {
    const auto start = static_cast<int64_t>(part.session->tokens_.size());
    grow(*part.session, static_cast<int64_t>(part.tokens.size()));
    paged_.push_back({part.tokens, start, part.session->pages_, part.rows});
  }
  forward(paged_, logits, saved);
  for (const Part& part : parts) {
    part.session->tokens_.insert(part.session->tokens_.end(), part.tokens.begin(), part.tokens.end());
    part.session->has_logits_ = false;
  }
  return {};
}

void EngineImpl::forward(std::span<const PagedPart> parts, float* logits, model::Saved* saved) {
  tokens_.clear();
  positions_.clear();
  page_table_.clear();
  logit_rows_.clear();
  segments_.clear();
  for (const PagedPart& part : parts) {
    const auto n = static_cast<int32_t>(part.tokens.size());
    const auto start = static_cast<int32_t>(part.start);
    const auto first = static_cast<int32_t>(tokens_.size());
    segments_.push_back({first, n, -1, start, static_cast<int32_t>(page_table_.size())});
    tokens_.insert(tokens_.end(), part.tokens.begin(), part.tokens.end());
    for (int32_t i = 0; i < n; ++i) positions_.push_back(start + i);
    page_table_.insert(page_table_.end(), part.pages.begin(), part.pages.end());
    if (part.rows == Rows::kAll) {
      for (int32_t i = 0; i < n; ++i) logit_rows_.push_back(first + i);
    } else if (part.rows == Rows::kLast) {
      logit_rows_.push_back(first + n - 1);
    }
  }
  const auto rows = static_cast<int64_t>(logit_rows_.size());
  float* out = logits != nullptr ? logits : workspace_.logits.f32();
  const model::Batch batch{tokens_, positions_, segments_, kv_.view(page_table_), logit_rows_, &rope_};
  model::forward(weights_, batch, workspace_, saved, TensorView{out, DType::kF32, Shape{rows, info_.vocab_rows}});
}

std::span<const float> EngineImpl::final_hidden(int64_t first, int64_t n) {
  BANTAM_CHECK(first >= 0 && first + n <= static_cast<int64_t>(tokens_.size()));
  const int64_t hidden = info_.hidden;
  // The residual stream stays in x: the head works on copies of its rows.
  const TensorView x{workspace_.x.f32() + first * hidden, DType::kF32, Shape{n, hidden}};
  const TensorView h = workspace_.h.first_rows(n);
  const auto eps = static_cast<float>(weights_.config.rms_norm_eps);
  ops::rms_norm(workspace_.ctx, x, weights_.final_norm, eps, h);
  return {h.f32(), static_cast<size_t>(n * hidden)};
}

void EngineImpl::truncate(SessionImpl& session, int64_t n) {
  BANTAM_CHECK(n >= 0 && n <= static_cast<int64_t>(session.tokens_.size()));
  if (n == static_cast<int64_t>(session.tokens_.size())) return;
  session.tokens_.resize(static_cast<size_t>(n));
  while (static_cast<int64_t>(session.pages_.size()) > page_count(n)) {
    kv_.release(session.pages_.back());
    session.pages_.pop_back();
  }
  session.has_logits_ = false;
}

Status EngineImpl::fork(const SessionImpl& from, SessionImpl* to) {
  to->tokens_ = from.tokens_;
  to->pages_ = from.pages_;
  to->logits_ = from.logits_;
  to->has_logits_ = from.has_logits_;
  for (int32_t page : to->pages_) kv_.retain(page);
  return {};
}

const engine::KvIdentity& EngineImpl::kv_identity() {
  if (kv_identity_.weights.empty()) {
    kv_identity_ = engine::kv_identity(info_.name, weights_, rope_, workspace_.ctx.numerics, kv_.layout(), *pool_);
  }
  return kv_identity_;
}

Result<int64_t> EngineImpl::save(const SessionImpl& session, const std::string& path) {
  return engine::write_kv_snapshot(path, kv_identity(), session.tokens_, kv_, session.pages_);
}

Result<int64_t> EngineImpl::restore(SessionImpl& session, const std::string& path) {
  BANTAM_TRY_ASSIGN(const engine::KvSnapshot snapshot,
                    engine::KvSnapshot::open(path, kv_identity(), kv_.layout(), info_.vocab_rows));
  BANTAM_TRY(check_room(session, 0, snapshot.tokens()));
  truncate(session, 0);
  grow(session, static_cast<int64_t>(snapshot.tokens().size()));
  session.tokens_.assign(snapshot.tokens().begin(), snapshot.tokens().end());
  for (int64_t i = 0; i < snapshot.pages(); ++i) {
    Status status = snapshot.read_page(i, &kv_, session.pages_[static_cast<size_t>(i)]);
    if (status.ok()) continue;
    truncate(session, 0);
    return status;
  }
  return static_cast<int64_t>(session.tokens_.size());
}

Status EngineImpl::fill_with_noise(SessionImpl& session, int64_t n, uint64_t seed) {
  BANTAM_CHECK(session.tokens_.empty());
  if (n > info_.context_tok || page_count(n) > kv_.free_pages()) {
    return make_error(ErrorCode::kContextFull, "{} tokens of keys and values do not fit", n);
  }
  grow(session, n);
  session.tokens_.assign(static_cast<size_t>(n), 0);
  ops::kv_fill(workspace_.ctx, kv_.view({}), session.pages_, seed);
  return {};
}

}  // namespace bantam
