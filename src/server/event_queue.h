// EventQueue: what the engine thread has to tell, on its way to the I/O thread. The first news after a quiet time goes
// out at once; what comes within kInterval of the last delivery waits for its end and goes together, so that a model
// that needs less than that for a token wakes the I/O thread and its clients once per interval instead of once per
// token. Ends, errors and first tokens do not wait. Part of ModelHost.
// Thread-safety: add() from any thread; everything else happens on the I/O thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

namespace bantam::server {

class EventQueue {
 public:
  using Event = std::function<void()>;
  // Runs an event on the I/O thread, soon (from any thread) or after a while (from the I/O thread).
  using Post = std::function<void(Event)>;
  using Later = std::function<void(std::chrono::milliseconds, Event)>;

  // A screen shows a picture every 16 ms, and a network's round trip is longer too. bantam-nano (270 us a token on two
  // cores, clients on the same two) loses 10 to 18 % of its speed to a wake-up per token: docs/log.md.
  static constexpr std::chrono::milliseconds kInterval{4};

  EventQueue(Post post, Later later);
  // In the order they are added. at_once: without waiting for the interval's end, and so are those before them.
  void add(std::vector<Event> events, bool at_once);

 private:
  struct State;
  static void deliver(const std::shared_ptr<State>& state);
  static void interval_over(const std::shared_ptr<State>& state);
  static void run(const std::shared_ptr<State>& state, std::vector<Event> events);

  std::shared_ptr<State> state_;  // what is still posted when this object goes does nothing
};

}  // namespace bantam::server
