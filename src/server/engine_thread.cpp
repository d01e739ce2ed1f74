// See engine_thread.h.
#include "server/engine_thread.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace bantam::server {

void ModelHost::EngineThread::join() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void ModelHost::EngineThread::command(std::function<void()> command) {
  {
    const std::lock_guard lock(mutex_);
    commands_.push_back(std::move(command));
  }
  wake_.notify_one();
}

void ModelHost::EngineThread::remove(const std::shared_ptr<Loaded>& model) {
  pause_warming();
  std::erase_if(warming_, [&](const Warming& w) { return w.model == model; });
  if (std::erase(models_, model) > 0) add_totals(model->batch->counts(), &gone_);
}

void ModelHost::EngineThread::warm(std::shared_ptr<Loaded> model, std::string owner, std::vector<int32_t> ids,
                                   std::shared_ptr<void> ticket) {
  if (warming_.size() >= kMostWarming) {
    pause_warming();
    warming_.pop_front();  // the newest conversations are the likeliest to go on
  }
  warming_.push_back({std::move(model), std::move(owner), std::move(ids), std::move(ticket)});
}

engine::Scheduler::Counts ModelHost::EngineThread::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void ModelHost::EngineThread::loop() {
  bool busy = false;
  std::vector<std::function<void()>> commands;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || busy || !commands_.empty(); });
      if (stopping_) return;
      commands.swap(commands_);
    }
    for (auto& command : commands) command();
    commands.clear();
    busy = step_all() || warm_step();
    publish_counts();
    deliver();
  }
}

// One forward of every model that has work. False when none has.
bool ModelHost::EngineThread::step_all() {
  bool any = false;
  for (const auto& model : models_) any = any || model->open_jobs > 0;
  if (!any) return false;
  pause_warming();
  for (const auto& model : models_) {
    if (model->open_jobs == 0) continue;
    // The parts were checked when they were submitted; a step has nothing of its own to refuse.
    BANTAM_CHECK(model->batch->step().ok());
  }
  return true;
}

// A piece of what may be asked next.
bool ModelHost::EngineThread::warm_step() {
  if (warming_.empty()) return false;
  Warming& next = warming_.front();
  if (!warming_now_) {
    engine::BatchGenerator::Job job;
    job.id = kWarmJob;
    job.owner = next.owner;
    job.prompt = next.ids;
    job.options.max_tok = 0;
    job.step_tok = kWarmTok;
    job.on_done = [this](engine::Generation) { warming_now_ = false; };
    warming_now_ = next.model->batch->submit(std::move(job)).ok();
    if (!warming_now_) {
      warming_.pop_front();
      return true;
    }
  }
  BANTAM_CHECK(next.model->batch->step().ok());
  if (!warming_now_) warming_.pop_front();
  return true;
}

// Lets the batch go; what was computed stays remembered, so that the job goes on from there.
void ModelHost::EngineThread::pause_warming() {
  if (warming_now_) warming_.front().model->batch->cancel(kWarmJob);
}

void ModelHost::EngineThread::deliver() {
  queue_.add(std::exchange(events_, {}), std::exchange(at_once_, false));
}

void ModelHost::EngineThread::add_totals(const engine::Scheduler::Counts& of, engine::Scheduler::Counts* sum) {
  sum->steps += of.steps;
  sum->preemptions += of.preemptions;
  sum->prompt_tok += of.prompt_tok;
  sum->cache_hit_tok += of.cache_hit_tok;
  sum->generated_tok += of.generated_tok;
}

void ModelHost::EngineThread::publish_counts() {
  engine::Scheduler::Counts sum = gone_;
  for (const auto& model : models_) {
    const engine::Scheduler::Counts one = model->batch->counts();
    sum.waiting += one.waiting;
    sum.running += one.running;
    sum.waiting_tok += one.waiting_tok;
    sum.total_pages += one.total_pages;
    sum.free_pages += one.free_pages;
    sum.remembered_pages += one.remembered_pages;
    add_totals(one, &sum);
  }
  const std::lock_guard lock(mutex_);
  counts_ = sum;
}

}  // namespace bantam::server
