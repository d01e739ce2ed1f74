// The thread that computes: runs commands, then one step of every model with work, then what can be prepared for later.
// Within server/; part of ModelHost. Commands come from the I/O thread; events go there by way of an EventQueue.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "server/event_queue.h"
#include "server/model_host.h"

namespace bantam::server {

// What a loaded model consists of. Engine and batch belong to the engine thread; face and tokenizer are immutable.
struct ModelHost::Loaded {
  explicit Loaded(OpenedModel opened) : model(std::move(opened)) {}
  OpenedModel model;
  ModelFace face;
  std::unique_ptr<engine::BatchGenerator> batch;
  int64_t open_jobs = 0;  // submitted and not done, warming aside
};

class ModelHost::EngineThread {
 public:
  explicit EngineThread(EventQueue& queue) : queue_(queue), thread_([this] { loop(); }) {}
  ~EngineThread() { join(); }
  // Ends the thread after its step; commands that have not run are dropped.
  void join();

  // From any thread: runs on the engine thread between two steps.
  void command(std::function<void()> command);
  // For commands and callbacks, on the engine thread: an event for the I/O thread, told after the step; or, when it is
  // one of many, as EventQueue sees fit.
  enum class Urgency : uint8_t { kAtOnce, kOneOfMany };
  void event(std::function<void()> event, Urgency urgency = Urgency::kAtOnce) {
    events_.push_back(std::move(event));
    at_once_ = at_once_ || urgency == Urgency::kAtOnce;
  }
  void add(std::shared_ptr<Loaded> model) { models_.push_back(std::move(model)); }
  void remove(const std::shared_ptr<Loaded>& model);
  // ticket: let go when it is done or given up.
  void warm(std::shared_ptr<Loaded> model, std::string owner, std::vector<int32_t> ids, std::shared_ptr<void> ticket);

  engine::Scheduler::Counts counts() const;  // from any thread

 private:
  struct Warming {
    std::shared_ptr<Loaded> model;
    std::string owner;
    std::vector<int32_t> ids;
    std::shared_ptr<void> ticket;
  };
  static constexpr int64_t kWarmJob = -1;
  static constexpr size_t kMostWarming = 64;
  static constexpr int64_t kWarmTok = 64;  // in one forward: whoever comes meanwhile waits for its end

  void loop();
  bool step_all();
  bool warm_step();
  void pause_warming();
  void deliver();
  static void add_totals(const engine::Scheduler::Counts& of, engine::Scheduler::Counts* sum);
  void publish_counts();

  EventQueue& queue_;
  std::vector<std::shared_ptr<Loaded>> models_;
  std::vector<std::function<void()>> events_;  // of this step
  bool at_once_ = false;
  std::deque<Warming> warming_;
  bool warming_now_ = false;  // the front's job is in its batch
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::function<void()>> commands_;
  engine::Scheduler::Counts counts_;
  engine::Scheduler::Counts gone_;  // what models that were unloaded had counted since their beginning
  bool stopping_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace bantam::server
