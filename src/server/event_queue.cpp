// See event_queue.h.
#include "server/event_queue.h"

#include <iterator>
#include <mutex>
#include <utility>

namespace bantam::server {

struct EventQueue::State {
  Post post;
  Later later;
  std::mutex mutex;
  std::vector<Event> waiting;
  bool posted = false;    // a delivery is on its way
  bool interval = false;  // one has just been: the timer runs
};

EventQueue::EventQueue(Post post, Later later) : state_(std::make_shared<State>()) {
  state_->post = std::move(post);
  state_->later = std::move(later);
}

void EventQueue::add(std::vector<Event> events, bool at_once) {
  if (events.empty()) return;
  {
    const std::lock_guard lock(state_->mutex);
    auto& waiting = state_->waiting;
    waiting.insert(waiting.end(), std::make_move_iterator(events.begin()), std::make_move_iterator(events.end()));
    if (state_->posted || (state_->interval && !at_once)) return;
    state_->posted = true;
  }
  state_->post([weak = std::weak_ptr<State>(state_)] {
    if (auto state = weak.lock()) deliver(state);
  });
}

void EventQueue::deliver(const std::shared_ptr<State>& state) {
  std::vector<Event> events;
  {
    const std::lock_guard lock(state->mutex);
    events.swap(state->waiting);
    state->posted = false;
  }
  run(state, std::move(events));
}

void EventQueue::interval_over(const std::shared_ptr<State>& state) {
  std::vector<Event> events;
  {
    const std::lock_guard lock(state->mutex);
    state->interval = false;
    if (state->posted) return;  // it comes right behind this
    events.swap(state->waiting);
  }
  run(state, std::move(events));
}

// The interval begins with a delivery, so its length bounds what an event waits.
void EventQueue::run(const std::shared_ptr<State>& state, std::vector<Event> events) {
  if (events.empty()) return;
  bool begin = false;
  {
    const std::lock_guard lock(state->mutex);
    begin = !std::exchange(state->interval, true);
  }
  if (begin) {
    state->later(kInterval, [weak = std::weak_ptr<State>(state)] {
      if (auto held = weak.lock()) interval_over(held);
    });
  }
  for (const Event& event : events) event();
}

}  // namespace bantam::server
