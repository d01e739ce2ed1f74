// See model_host.h.
#include "server/model_host.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <new>
#include <utility>

#include "base/check.h"
#include "engine/memory_info.h"
#include "engine/model_files.h"
#include "server/engine_thread.h"

namespace bantam::server {

using Clock = std::chrono::steady_clock;

struct ModelHost::Entry {
  ModelSpec spec;
  enum class State : uint8_t { kUnloaded, kLoading, kLoaded, kFailed } state = State::kUnloaded;
  std::string error;
  std::shared_ptr<Loaded> loaded;
  std::vector<Then> waiting;
  Clock::time_point last_used;
  std::unique_ptr<WorkerThread> loader;

  // Nobody but this entry and the engine thread holds it.
  bool idle() const { return state == State::kLoaded && loaded.use_count() <= 2; }
};

// Work in progress, as the I/O thread sees it.
struct ModelHost::Running {
  Work work;
  std::shared_ptr<Loaded> loaded;
  int64_t first_job = 0;
  size_t left = 0;  // choices without an end
  int64_t tok = 0;
  bool dropped = false;
};

ModelHost::ModelHost(std::vector<ModelSpec> models, const HostOptions& options, Post post, Later later)
    : options_(options),
      post_(std::move(post)),
      events_(post_, std::move(later)),
      engine_(std::make_unique<EngineThread>(events_)) {
  BANTAM_CHECK(!models.empty());
  for (ModelSpec& spec : models) {
    auto entry = std::make_unique<Entry>();
    entry->spec = std::move(spec);
    entries_.push_back(std::move(entry));
  }
  aside_ = std::make_unique<WorkerThread>();
}

ModelHost::~ModelHost() {
  *alive_ = false;
  stop_loading_ = true;
  aside_.reset();
  for (auto& entry : entries_) entry->loader.reset();
  engine_->join();  // a step that is under way still tells of its tokens by way of engine_
}

std::function<void()> ModelHost::guarded(std::function<void()> f) const {
  return [alive = std::weak_ptr<bool>(alive_), f = std::move(f)] {
    if (alive.lock()) f();
  };
}

ModelHost::Entry* ModelHost::find(const std::string& id) const {
  for (const auto& entry : entries_) {
    if (entry->spec.id == id) return entry.get();
  }
  return entries_.size() == 1 || id.empty() ? entries_.front().get() : nullptr;
}

void ModelHost::with_model(const std::string& id, Then then) {
  Entry* found = find(id);
  if (found == nullptr) {
    std::string names;
    for (const auto& entry : entries_) names += (names.empty() ? "" : ", ") + entry->spec.id;
    return then(make_error(ErrorCode::kUsage, "model: expected one of {}; got {:?}", names, id));
  }
  found->last_used = Clock::now();
  if (found->state == Entry::State::kLoaded) return then(ModelLease(found->loaded, &found->loaded->face));
  if (stop_loading_) return then(make_error(ErrorCode::kCancelled, "the server is stopping"));
  if (found->state != Entry::State::kLoading) {
    if (Status room = make_room(*found); !room.ok()) return then(std::move(room));
    load(*found);
  }
  found->waiting.push_back(std::move(then));
}

void ModelHost::load(Entry& entry) {
  entry.state = Entry::State::kLoading;
  entry.error.clear();
  entry.loader = std::make_unique<WorkerThread>();
  // By way of the engine thread: a model that was just let go is destroyed there first.
  engine_->command([this, &entry] {
    engine_->event(guarded([this, &entry] {
      entry.loader->run([this, &entry] {
        auto opened = std::make_shared<Result<OpenedModel>>(Status());
        try {
          *opened = entry.spec.open(stop_loading_);
        } catch (const std::bad_alloc&) {
          *opened = make_error(ErrorCode::kNoSpace, "{}: not enough memory to load it", entry.spec.id);
        }
        post_(guarded([this, &entry, opened] { loaded(entry, std::move(*opened)); }));
      });
    }));
  });
}

void ModelHost::loaded(Entry& entry, Result<OpenedModel> opened) {
  auto waiting = std::exchange(entry.waiting, {});
  if (stop_loading_) {
    entry.state = Entry::State::kUnloaded;
    return;  // who waited has heard
  }
  if (!opened.ok()) {
    entry.state = Entry::State::kFailed;
    entry.error = std::string(opened.status().message());
    for (const Then& then : waiting) then(opened.status());
    return;
  }
  auto model = std::make_shared<Loaded>(std::move(*opened));
  const ModelInfo& info = model->model.engine.info();
  model->model.engine.set_textless_ids(engine::textless_ids(model->model.tokenizer, info.vocab_rows));
  model->face = {.id = entry.spec.id,
                 .info = info,
                 .tokenizer = &model->model.tokenizer,
                 .template_kind = model->model.template_kind,
                 .created_s = static_cast<int64_t>(std::time(nullptr))};
  engine::SchedulerOptions options;
  options.running = options_.running;
  options.queue = options_.queue + options_.running;
  options.prefill_tok = options_.prefill_tok;
  options.most_slower = options_.most_slower;
  options.prefix_cache = options_.prefix_cache;
  model->batch = std::make_unique<engine::BatchGenerator>(model->model.engine, model->model.tokenizer, options);
  entry.loaded = model;
  entry.state = Entry::State::kLoaded;
  entry.last_used = Clock::now();
  engine_->command([this, model] { engine_->add(model); });
  for (const Then& then : waiting) then(ModelLease(model, &model->face));
}

// Of weights, loaded and being loaded.
int64_t ModelHost::held_bytes(const Entry* but) const {
  int64_t held = 0;
  for (const auto& entry : entries_) {
    if (entry->loaded) held += entry->loaded->face.info.weights_bytes;
    if (entry->state == Entry::State::kLoading && entry.get() != but) held += entry->spec.bytes;
  }
  return held;
}

void ModelHost::unload(Entry& entry) {
  entry.state = Entry::State::kUnloaded;
  engine_->command([this, gone = std::exchange(entry.loaded, nullptr)] { engine_->remove(gone); });
}

// Lets the longest unused models go until `entry` fits. Without a budget of our own the engine says what is missing.
Status ModelHost::make_room(const Entry& entry) {
  const bool has_budget = options_.memory_bytes > 0;
  const int64_t wanted = entry.spec.bytes;
  int64_t released = 0;
  const auto free = [&] {  // what is let go is free only when the engine thread comes by
    return has_budget ? options_.memory_bytes - held_bytes(&entry) : engine::available_memory_bytes() + released;
  };
  while (free() < wanted) {
    Entry* oldest = nullptr;
    for (const auto& other : entries_) {
      if (other.get() == &entry || !other->idle()) continue;
      if (oldest == nullptr || other->last_used < oldest->last_used) oldest = other.get();
    }
    if (oldest != nullptr) {
      released += oldest->loaded->face.info.weights_bytes;
      unload(*oldest);
      continue;
    }
    if (!has_budget) return {};
    const auto gb = [](int64_t bytes) { return static_cast<double>(bytes) / 1e9; };
    return no_space(
        "{}: its weights need {:.3f} GB; of the {:.3f} GB this server may use, models in use hold {:.3f} GB",
        entry.spec.id, gb(wanted), gb(options_.memory_bytes), gb(held_bytes(&entry)));
  }
  return {};
}

void ModelHost::stop_loading() {
  stop_loading_ = true;
  for (const auto& entry : entries_) {
    for (const Then& then : std::exchange(entry->waiting, {})) {
      then(make_error(ErrorCode::kCancelled, "the server is stopping"));
    }
  }
}

void ModelHost::tick() {
  if (options_.idle_unload_s <= 0) return;
  const auto now = Clock::now();
  for (const auto& entry : entries_) {
    if (!entry->idle()) {
      entry->last_used = now;  // a long answer is use, not only the moment it was asked for
      continue;
    }
    if (std::chrono::duration<double>(now - entry->last_used).count() < options_.idle_unload_s) continue;
    unload(*entry);
  }
}

Status ModelHost::check(const Work& work) const {
  const ModelInfo& info = work.model->info;
  int64_t tok = 0;
  for (const Work::Choice& choice : work.choices) {
    const auto size = static_cast<int64_t>(choice.ids.size());
    tok += size;
    if (size == 0) return bad_input("prompt: expected at least one token");
    if (size >= info.context_tok && choice.options.max_tok != 0 && !work.pooling) {
      return make_error(ErrorCode::kContextFull,
                        "the prompt has {} tokens, this model's context holds {} together with the answer", size,
                        info.context_tok);
    }
    if (size > info.context_tok) {
      return make_error(ErrorCode::kContextFull, "the prompt has {} tokens, this model's context holds {}", size,
                        info.context_tok);
    }
    for (const int32_t id : choice.ids) {
      if (id < 0 || id >= info.vocab_rows) {
        return bad_input("prompt: token id {}: expected 0 to {}", id, info.vocab_rows - 1);
      }
    }
  }
  const auto choices = static_cast<int64_t>(work.choices.size());
  if (choices > limit_answers()) {
    return bad_input("the request asks for {} answers or vectors; this server takes at most {} at once", choices,
                     limit_answers());
  }
  if (answers_open_ + choices > limit_answers()) {
    return make_error(ErrorCode::kBusy, "the queue is full: {} answers are in work or waiting; try again later",
                      answers_open_);
  }
  if (tokens_open_ > 0 && tokens_open_ + tok > options_.queue_tok) {
    return make_error(ErrorCode::kBusy, "the queue is full: {} prompt tokens are in work or waiting; try again later",
                      tokens_open_);
  }
  return {};
}

Result<int64_t> ModelHost::submit(Work work) {
  BANTAM_TRY(check(work));
  const int64_t number = next_work_++;
  auto running = std::make_shared<Running>();
  // The face is the Loaded's own: the lease keeps both.
  for (const auto& entry : entries_) {
    if (entry->loaded && &entry->loaded->face == work.model.get()) running->loaded = entry->loaded;
  }
  BANTAM_CHECK(running->loaded != nullptr);
  running->left = work.choices.size();
  running->first_job = next_job_;
  next_job_ += static_cast<int64_t>(work.choices.size());
  for (const Work::Choice& choice : work.choices) running->tok += static_cast<int64_t>(choice.ids.size());
  answers_open_ += static_cast<int64_t>(running->left);
  tokens_open_ += running->tok;
  running->work = std::move(work);
  running_.emplace(number, running);
  engine_->command([this, number, running] { start(number, running); });
  return number;
}

// On the engine thread, as the next four.
void ModelHost::start(int64_t number, const std::shared_ptr<Running>& running) {
  for (size_t i = 0; i < running->work.choices.size(); ++i) {
    ++running->loaded->open_jobs;
    const Status status =
        running->work.pooling ? start_embedding(number, running, i) : start_answer(number, running, i);
    if (status.ok()) continue;
    --running->loaded->open_jobs;
    engine_->event(guarded([this, running, number, status] {
      if (running->dropped) return;
      auto events = running->work.events;
      cancel(number);
      events->on_failed(status);
    }));
    return;
  }
}

// Memory that runs out while an event is told is the failure of the request it is about.
void ModelHost::call_guarded(int64_t number, const std::shared_ptr<Running>& running,
                             const std::function<void(AnswerEvents&)>& call) {
  const std::shared_ptr<AnswerEvents> events = running->work.events;
  try {
    call(*events);
  } catch (const std::bad_alloc&) {
    cancel(number);
    events->on_failed(make_error(ErrorCode::kNoSpace, "not enough memory for this request"));
  }
}

void ModelHost::tell(int64_t number, const std::shared_ptr<Running>& running, bool at_once,
                     std::function<void(AnswerEvents&)> call) {
  engine_->event(guarded([this, number, running, call = std::move(call)] {
                   if (!running->dropped) call_guarded(number, running, call);
                 }),
                 at_once ? EngineThread::Urgency::kAtOnce : EngineThread::Urgency::kOneOfMany);
}

void ModelHost::tell_end(int64_t number, const std::shared_ptr<Running>& running,
                         std::function<void(AnswerEvents&)> call) {
  --running->loaded->open_jobs;
  engine_->event(guarded([this, running, number, call = std::move(call)] {
    if (running->dropped) return;
    // The last look at `running` in the map: an event may submit more work.
    finish_choice(number);
    call_guarded(number, running, call);
  }));
}

Status ModelHost::start_answer(int64_t number, const std::shared_ptr<Running>& running, size_t i) {
  Work& work = running->work;
  engine::BatchGenerator::Job job;
  job.id = running->first_job + static_cast<int64_t>(i);
  job.owner = work.owner;
  job.prompt = std::move(work.choices[i].ids);
  job.options = std::move(work.choices[i].options);
  if (work.wants_deltas) {
    job.on_delta = [this, number, running, i, first = true](const engine::AnswerDelta& delta) mutable {
      tell(number, running, std::exchange(first, false),
           [i, delta, now = Clock::now()](AnswerEvents& events) { events.on_delta(i, delta, now); });
    };
  }
  if (work.wants_tokens) {
    job.on_token = [this, number, running, i](const Sampled& token, bool reasoning) {
      tell(number, running, false,
           [i, token, reasoning](AnswerEvents& events) { events.on_token(i, token, reasoning); });
    };
  }
  if (work.wants_prompt) {
    job.on_prompt = [this, number, running, i](std::vector<Sampled> prompt) {
      tell(number, running, false,
           [i, prompt = std::move(prompt)](AnswerEvents& events) mutable { events.on_prompt(i, std::move(prompt)); });
    };
  }
  if (work.wants_progress) {
    job.on_progress = [this, number, running, i](int64_t done, int64_t total, int64_t cached) {
      tell(number, running, false, [=](AnswerEvents& events) { events.on_progress(i, done, total, cached); });
    };
  }
  job.on_done = [this, running, number, i](engine::Generation answer) {
    tell_end(number, running,
             [i, answer = std::move(answer)](AnswerEvents& events) mutable { events.on_done(i, std::move(answer)); });
  };
  return running->loaded->batch->submit(std::move(job));
}

Status ModelHost::start_embedding(int64_t number, const std::shared_ptr<Running>& running, size_t i) {
  engine::BatchGenerator::EmbeddingJob job;
  job.id = running->first_job + static_cast<int64_t>(i);
  job.owner = running->work.owner;
  job.prompt = std::move(running->work.choices[i].ids);
  job.pooling = *running->work.pooling;
  job.on_done = [this, running, number, i](std::vector<float> vector) {
    tell_end(number, running, [i, vector = std::move(vector)](AnswerEvents& events) mutable {
      events.on_embedding(i, std::move(vector));
    });
  };
  return running->loaded->batch->submit_embedding(std::move(job));
}

void ModelHost::finish_choice(int64_t work) {
  const auto found = running_.find(work);
  BANTAM_CHECK(found != running_.end());
  --answers_open_;
  if (--found->second->left > 0) return;
  tokens_open_ -= found->second->tok;
  running_.erase(found);
}

void ModelHost::cancel(int64_t work) {
  const auto found = running_.find(work);
  if (found == running_.end()) return;
  const std::shared_ptr<Running> running = found->second;
  running->dropped = true;
  answers_open_ -= static_cast<int64_t>(running->left);
  tokens_open_ -= running->tok;
  running_.erase(found);
  engine_->command([running] {
    const auto count = static_cast<int64_t>(running->work.choices.size());
    for (int64_t job = running->first_job; job < running->first_job + count; ++job) running->loaded->batch->cancel(job);
  });
}

void ModelHost::warm(const ModelLease& model, std::string owner, std::vector<int32_t> ids) {
  if (!options_.prefix_cache) return;
  for (const auto& entry : entries_) {
    if (!entry->loaded || &entry->loaded->face != model.get()) continue;
    engine_->command([this, loaded = entry->loaded, owner = std::move(owner), ids = std::move(ids),
                      ticket = std::shared_ptr<void>(preparing_)]() mutable {
      engine_->warm(std::move(loaded), std::move(owner), std::move(ids), std::move(ticket));
    });
    return;
  }
}

void ModelHost::on_engine(const ModelLease& model, std::function<void(engine::BatchGenerator&)> work,
                          std::function<void()> then) {
  for (const auto& entry : entries_) {
    if (!entry->loaded || &entry->loaded->face != model.get()) continue;
    engine_->command([this, loaded = entry->loaded, work = std::move(work), then = guarded(std::move(then))] {
      work(*loaded->batch);
      engine_->event(then);
    });
    return;
  }
}

void ModelHost::aside(std::function<void()> work, std::function<void()> then) {
  aside_->run([this, work = std::move(work), then = guarded(std::move(then))] {
    work();
    post_(then);
  });
}

std::vector<ModelHost::ModelState> ModelHost::models() const {
  constexpr const char* kStates[] = {"unloaded", "loading", "loaded", "failed"};
  std::vector<ModelState> out;
  for (const auto& entry : entries_) {
    ModelState state{.id = entry->spec.id,
                     .state = kStates[static_cast<size_t>(entry->state)],
                     .error = entry->error,
                     .house = entry->spec.house,
                     .bytes = entry->spec.bytes};
    if (entry->loaded) {
      state.face = ModelLease(entry->loaded, &entry->loaded->face);
      state.bytes = entry->loaded->face.info.weights_bytes;
    }
    out.push_back(std::move(state));
  }
  return out;
}

engine::Scheduler::Counts ModelHost::counts() const {
  return engine_->counts();
}

void ModelHost::stop() {
  while (!running_.empty()) {
    auto events = running_.begin()->second->work.events;
    cancel(running_.begin()->first);
    events->on_failed(make_error(ErrorCode::kCancelled, "the server is stopping"));
  }
}

}  // namespace bantam::server
