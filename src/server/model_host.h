// The models of a server and the thread that computes with them. Handlers on the I/O thread ask for a model by name
// (loaded on demand, the longest unused one unloaded when memory is short), submit work to it and get events back; the
// engine thread runs the batches of all loaded models in turn. How its events come back: event_queue.h.
// Thread-safety: every public function is for the I/O thread, except where said.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bantam/engine.h"
#include "engine/batch_generator.h"
#include "server/event_queue.h"
#include "server/openai_request.h"
#include "server/worker_thread.h"

namespace bantam::server {

// How a model is opened; given by whoever starts the server, so that this room knows no paths. Called on a thread of
// its own. May be called again after the model was unloaded. Ends soon, with kCancelled, when *stop becomes true.
struct OpenedModel {
  Engine engine;
  text::Tokenizer tokenizer;
  text::TemplateKind template_kind{};
};
struct ModelSpec {
  std::string id;     // what requests call it
  int64_t bytes = 0;  // of weights, as far as known before loading
  bool house = false;
  std::function<Result<OpenedModel>(const std::atomic<bool>& stop)> open;
};

struct HostOptions {
  int64_t running = 64;         // answers in work at once
  int64_t queue = 256;          // answers waiting; one more is refused
  int64_t queue_tok = 1 << 20;  // prompt tokens in work and waiting
  int64_t prefill_tok = 128;    // prompt tokens per step beside answers in work
  double most_slower = 1.8;     // times others' tokens may come slower while a prompt is read; 0: any
  int64_t memory_bytes = 0;     // for the weights of all loaded models; 0: what is free
  double idle_unload_s = 0;     // unload a model nobody has used for so long; 0: only when memory is needed
  bool prefix_cache = true;
};

// A loaded model as handlers see it: immutable, and kept loaded while somebody holds it.
struct ModelFace {
  std::string id;
  ModelInfo info;
  const text::Tokenizer* tokenizer = nullptr;
  text::TemplateKind template_kind{};
  int64_t created_s = 0;

  ServedModel served() const { return {id, &info, tokenizer, template_kind}; }
};
using ModelLease = std::shared_ptr<const ModelFace>;

// What becomes of submitted work; called on the I/O thread, `choice` as submitted.
class AnswerEvents {
 public:
  virtual ~AnswerEvents() = default;
  virtual void on_progress(size_t /*choice*/, int64_t /*done*/, int64_t /*total*/, int64_t /*cached*/) {}
  virtual void on_prompt(size_t /*choice*/, std::vector<Sampled> /*prompt_logprobs*/) {}
  virtual void on_token(size_t /*choice*/, const Sampled& /*token*/, bool /*reasoning*/) {}
  // made_at: when the engine had it, up to EventQueue::kInterval ago.
  virtual void on_delta(size_t /*choice*/, const engine::AnswerDelta& /*delta*/,
                        std::chrono::steady_clock::time_point /*made_at*/) {}
  // The end of a choice: one of these.
  virtual void on_done(size_t /*choice*/, engine::Generation /*answer*/) {}
  virtual void on_embedding(size_t /*choice*/, std::vector<float> /*vector*/) {}
  virtual void on_failed(const Status& status) = 0;  // instead of every end that is still to come
};

struct Work {
  struct Choice {
    std::vector<int32_t> ids;
    engine::GenerateOptions options;
  };
  ModelLease model;
  std::string owner;
  std::vector<Choice> choices;
  std::optional<engine::Pooling> pooling;  // set: the choices' ids are embedded, nothing is generated
  bool wants_tokens = false, wants_prompt = false, wants_progress = false, wants_deltas = true;
  std::shared_ptr<AnswerEvents> events;
};

class ModelHost {
 public:
  // post(f): runs f on the I/O thread; from any thread.
  using Post = std::function<void(std::function<void()>)>;

  struct ModelState {
    std::string id;
    std::string state;  // "loaded", "loading", "unloaded", "failed"
    std::string error;
    bool house = false;
    int64_t bytes = 0;
    ModelLease face;  // null unless loaded
  };

  // later(after, f): runs f on the I/O thread; called on it.
  using Later = EventQueue::Later;
  ModelHost(std::vector<ModelSpec> models, const HostOptions& options, Post post, Later later);
  ~ModelHost();

  // Calls `then` with the model, at once or when it is loaded. An unknown name is kUsage when there are several models;
  // a server of one model answers to every name. "" is the first model. kNoSpace, with the numbers, when it does not
  // fit into memory_bytes beside the models that are in use: whoever waits for these would wait for as long as their
  // users like. kCancelled when loading was stopped.
  using Then = std::function<void(Result<ModelLease>)>;
  void with_model(const std::string& id, Then then);
  // Whether with_model() of that name is about a model of this server, loaded or not.
  bool knows(const std::string& id) const { return find(id) != nullptr; }

  // Starts the work; kBusy when the queue is full, kBadInput or kContextFull when it can never be. Returns its number.
  Result<int64_t> submit(Work work);
  // Ends it; no event comes after that.
  void cancel(int64_t work);
  // Computes the keys and values of these tokens when nothing else is to be done, for a request that will begin so.
  void warm(const ModelLease& model, std::string owner, std::vector<int32_t> ids);
  // How many of these are not done yet.
  int64_t preparing() const { return preparing_.use_count() - 1; }
  // Runs `work` on the engine thread between two steps, then `then` here.
  void on_engine(const ModelLease& model, std::function<void(engine::BatchGenerator&)> work,
                 std::function<void()> then);
  // Runs `work` beside the I/O thread, then `then` on it: for long texts, whose reading would hold others up.
  void aside(std::function<void()> work, std::function<void()> then);

  std::vector<ModelState> models() const;
  engine::Scheduler::Counts counts() const;  // of all models, as of the last step
  int64_t answers_open() const { return answers_open_; }
  int64_t limit_answers() const { return options_.running + options_.queue; }
  // To be called now and then: unloads what has been idle for long.
  void tick();
  // Ends loading: whoever waits for a model hears kCancelled at once, and no other is loaded from now on.
  void stop_loading();
  // Ends all work; no event comes after that.
  void stop();

 private:
  struct Loaded;
  struct Entry;
  struct Running;
  class EngineThread;
  Entry* find(const std::string& id) const;
  Status make_room(const Entry& entry);
  void load(Entry& entry);
  void loaded(Entry& entry, Result<OpenedModel> opened);
  int64_t held_bytes(const Entry* but) const;
  void unload(Entry& entry);
  Status check(const Work& work) const;
  void start(int64_t number, const std::shared_ptr<Running>& running);
  Status start_answer(int64_t number, const std::shared_ptr<Running>& running, size_t choice);
  Status start_embedding(int64_t number, const std::shared_ptr<Running>& running, size_t choice);
  void call_guarded(int64_t number, const std::shared_ptr<Running>& running,
                    const std::function<void(AnswerEvents&)>& call);
  void tell(int64_t number, const std::shared_ptr<Running>& running, bool at_once,
            std::function<void(AnswerEvents&)> call);
  void tell_end(int64_t number, const std::shared_ptr<Running>& running, std::function<void(AnswerEvents&)> call);
  void finish_choice(int64_t work);
  // f on the I/O thread, unless this object is gone by then.
  std::function<void()> guarded(std::function<void()> f) const;

  HostOptions options_;
  Post post_;
  EventQueue events_;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::map<int64_t, std::shared_ptr<Running>> running_;
  int64_t next_work_ = 1, next_job_ = 1, answers_open_ = 0, tokens_open_ = 0;
  std::atomic<bool> stop_loading_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::shared_ptr<bool> preparing_ = std::make_shared<bool>(true);  // every warm() holds it until it is done
  std::unique_ptr<EngineThread> engine_;
  std::unique_ptr<WorkerThread> aside_;
};

}  // namespace bantam::server
