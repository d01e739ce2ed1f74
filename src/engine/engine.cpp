// Loading a model into an engine, and the thin bodies of the installed API (include/bantam/engine.h).
#include "bantam/engine.h"

#include <algorithm>

#include "base/clock.h"
#include "base/cpu_features.h"
#include "base/result.h"
#include "engine/memory_info.h"
#include "engine/model_files.h"
#include "engine/runner.h"

namespace bantam {
namespace {

Status check_options(const EngineOptions& o) {
  if (o.threads < 0 || o.threads > 1024) return usage_error("threads: expected 1 to 1024, got {}", o.threads);
  if (o.context_tok < 0) return usage_error("context: expected at least 1 token, got {}", o.context_tok);
  if (o.chunk_tok < 1 || o.chunk_tok > 65536)
    return usage_error("chunk: expected 1 to 65536 tokens, got {}", o.chunk_tok);
  if (o.batch_rows < 1) return usage_error("batch: expected at least one row, got {}", o.batch_rows);
  return {};
}

// Pages of the pool that all sessions share; forks copy the page they write, so a few are spare.
int64_t pool_pages(const EngineOptions& options, int64_t context) {
  constexpr int64_t kSparePages = 4;
  return (std::max(options.pool_tok, context) + kernels::kPageTok - 1) / kernels::kPageTok + kSparePages;
}

std::string human_gb(int64_t bytes) {
  return fmt::format("{:.2f} GB", static_cast<double>(bytes) / 1e9);
}

// The context to open with: as asked, or the model's own cut to what fits. Refuses before anything is allocated.
Status choose_context(const model::Binding& binding, const EngineOptions& options, model::StepLimits limits,
                      int threads, ModelInfo* info) {
  const model::Config& config = binding.config;
  const int64_t available = engine::available_memory_bytes();
  info->trained_context_tok = config.max_position_embeddings;
  const int64_t own = model::native_context(config);
  info->context_tok = options.context_tok > 0 ? options.context_tok : own;
  if (options.context_tok == 0) {
    const int64_t fits = model::context_that_fits(binding, engine::kv_dtype(options.kv), limits, threads, available);
    info->context_tok = std::min(own, fits);
    info->context_was_limited = fits < own;
    if (fits >= std::min<int64_t>(own, 256)) return {};
    info->context_tok = std::min<int64_t>(own, 256);
  }
  if (info->context_tok > model::max_context(config)) {
    return usage_error("context: this model takes at most {} tokens, got {}", model::max_context(config),
                       info->context_tok);
  }
  limits.max_pos = info->context_tok;
  const model::Plan plan = model::make_plan(binding, engine::kv_dtype(options.kv), limits, threads);
  const int64_t pool_tok = pool_pages(options, info->context_tok) * kernels::kPageTok;
  const int64_t pool_bytes = model::kv_bytes(config, engine::kv_dtype(options.kv), pool_tok);
  if (plan.weights_bytes + plan.workspace_bytes + pool_bytes > available) {
    return no_space("not enough memory: {} for weights, {} for {} tokens of context, {} for work; {} are free",
                    human_gb(plan.weights_bytes), human_gb(pool_bytes), std::max(options.pool_tok, info->context_tok),
                    human_gb(plan.workspace_bytes), human_gb(available));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<EngineImpl>> EngineImpl::load(const ModelSource& source, const EngineOptions& options,
                                                     const LoadProgress& progress) {
  const Stopwatch watch;
  BANTAM_TRY(check_options(options));
  BANTAM_TRY_ASSIGN(const kernels::Table* table, kernels::find_table(options.isa));
  BANTAM_TRY_ASSIGN(const formats::Checkpoint checkpoint, source.path.empty()
                                                              ? formats::Checkpoint::from_memory(source.files)
                                                              : formats::Checkpoint::open(source.path));
  BANTAM_TRY_ASSIGN(const model::Binding binding, model::bind(checkpoint));
  BANTAM_TRY(model::check_kv_type(binding.config, engine::kv_dtype(options.kv)));
  BANTAM_TRY_ASSIGN(const engine::GenerationDefaults defaults, engine::generation_defaults(checkpoint));

  auto impl = std::make_unique<EngineImpl>();
  impl->options_ = options;
  ModelInfo& info = impl->info_;
  info.threads = options.threads > 0 ? options.threads : cpu_features().cores;
  model::StepLimits limits{.max_tok = options.chunk_tok, .max_logit_rows = options.batch_rows};
  BANTAM_TRY(choose_context(binding, options, limits, info.threads, &info));
  limits.max_pos = info.context_tok;
  BANTAM_TRY_ASSIGN(impl->rope_, model::make_rope(binding.config, info.context_tok));

  impl->pool_ = std::make_unique<ThreadPool>(info.threads);
  // Files in memory come with the program and are small; only what lies on disk is worth a file of its own.
  const PackedCacheOptions cache = source.path.empty() ? PackedCacheOptions{} : options.packed_cache;
  BANTAM_TRY_ASSIGN(auto loaded,
                    engine::load_weights(checkpoint, binding, *impl->pool_, cache, progress, &impl->packed_store_));
  impl->weights_ = std::move(loaded.weights);
  info.from_packed_cache = loaded.from_cache;
  info.packed_cache_note = std::move(loaded.note);
  const auto numerics = options.numerics == NumericsMode::kExact ? ops::Numerics::kExact : ops::Numerics::kFast;
  BANTAM_TRY_ASSIGN(impl->workspace_, model::Workspace::create(binding.config, limits, *table, *impl->pool_, numerics));
  const kernels::KvLayout layout = model::kv_layout(binding.config, engine::kv_dtype(options.kv));
  BANTAM_TRY_ASSIGN(impl->kv_, engine::KvPool::create(layout, pool_pages(options, info.context_tok)));

  info.name = engine::model_name(source.path);
  info.family = model::family_name(binding.config.family);
  info.weight_type = name(binding.main_dtype());
  info.vocab_rows = binding.config.vocab_size;
  info.layers = binding.config.num_hidden_layers;
  info.hidden = binding.config.hidden_size;
  info.rope_factor = impl->rope_.yarn_factor;
  info.weights_bytes = impl->weights_.bytes();
  info.kv_bytes_per_tok = layout.token_bytes();
  info.workspace_bytes = impl->workspace_.storage.size_bytes();
  info.isa = table->name;
  info.stop_ids = defaults.stop_ids;
  info.temperature = defaults.temperature.value_or(-1);
  info.top_p = defaults.top_p.value_or(-1);
  info.min_p = defaults.min_p.value_or(-1);
  info.repetition_penalty = defaults.repetition_penalty.value_or(-1);
  info.top_k = defaults.top_k.value_or(-1);

  const auto chunk = static_cast<size_t>(options.chunk_tok);
  impl->tokens_.reserve(chunk);
  impl->positions_.reserve(chunk);
  impl->logit_rows_.reserve(chunk);
  impl->segments_.reserve(chunk);
  impl->paged_.reserve(chunk);
  impl->page_table_.reserve(static_cast<size_t>(impl->kv_.capacity()));
  info.load_ms = watch.elapsed_ms();
  return impl;
}

Engine::Engine(std::unique_ptr<EngineImpl> impl) : impl_(std::move(impl)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() = default;

Result<Engine> Engine::load(const ModelSource& source, const EngineOptions& options, const LoadProgress& progress) {
  BANTAM_TRY_ASSIGN(auto impl, EngineImpl::load(source, options, progress));
  return Engine(std::move(impl));
}

const ModelInfo& Engine::info() const {
  return impl_->info();
}

Result<Session> Engine::new_session() {
  return Session(std::make_unique<SessionImpl>(impl_.get()));
}

Status Engine::step(std::span<const StepItem> items) {
  std::vector<EngineImpl::Part> parts;
  parts.reserve(items.size());
  for (const StepItem& item : items) {
    for (const EngineImpl::Part& other : parts) {
      if (other.session == item.session->impl_.get()) return usage_error("step: a session may take part only once");
    }
    parts.push_back({item.session->impl_.get(), item.tokens, EngineImpl::Rows::kLast});
  }
  BANTAM_TRY(impl_->run(parts));
  const auto rows = static_cast<size_t>(info().vocab_rows);
  for (size_t i = 0; i < parts.size(); ++i) {
    const float* row = impl_->workspace_logits() + i * rows;
    parts[i].session->logits_.assign(row, row + rows);
    parts[i].session->has_logits_ = true;
  }
  return {};
}

void Engine::set_textless_ids(std::vector<int32_t> ids) {
  impl_->mask_.assign(static_cast<size_t>(info().vocab_rows), 1);
  for (int32_t id : ids) {
    if (id >= 0 && id < info().vocab_rows) impl_->mask_[static_cast<size_t>(id)] = 0;
  }
}

}  // namespace bantam
