// EventQueue with a clock by hand: what goes out at once, what waits for the interval's end, and that nothing is lost.
#include "server/event_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace bantam::server {
namespace {

class EventQueueTest : public ::testing::Test {
 protected:
  void add(const std::string& names, bool at_once = false) {
    std::vector<EventQueue::Event> events;
    for (const char name : names) {
      events.emplace_back([this, name] { told_ += name; });
    }
    queue_->add(std::move(events), at_once);
  }
  // What the I/O thread would do now.
  void run_posted() {
    for (const auto& f : std::exchange(posted_, {})) f();
  }
  void pass_interval() {
    for (const auto& f : std::exchange(timers_, {})) f();
  }

  std::vector<EventQueue::Event> posted_, timers_;
  std::string told_;
  std::unique_ptr<EventQueue> queue_ =
      std::make_unique<EventQueue>([this](EventQueue::Event f) { posted_.push_back(std::move(f)); },
                                   [this](std::chrono::milliseconds after, EventQueue::Event f) {
                                     EXPECT_EQ(after, EventQueue::kInterval);
                                     timers_.push_back(std::move(f));
                                   });
};

TEST_F(EventQueueTest, FastEventsGoTogether) {
  add("a");
  EXPECT_EQ(posted_.size(), 1U) << "the first goes out at once";
  run_posted();
  EXPECT_EQ(told_, "a");
  for (const char* name : {"b", "c", "d"}) add(name);
  EXPECT_TRUE(posted_.empty()) << "one wake-up per interval";
  pass_interval();
  EXPECT_EQ(told_, "abcd");
  add("e");
  EXPECT_TRUE(posted_.empty()) << "the interval began anew with the delivery";
  pass_interval();
  pass_interval();
  EXPECT_EQ(told_, "abcde");
  EXPECT_TRUE(timers_.empty()) << "nothing ticks when nothing comes";
}

TEST_F(EventQueueTest, SlowEventsAreNotHeldUp) {
  for (const std::string name : {"a", "b", "c"}) {
    add(name);
    ASSERT_EQ(posted_.size(), 1U) << name;
    run_posted();
    EXPECT_EQ(told_.substr(told_.size() - 1), name);
    pass_interval();
  }
  EXPECT_EQ(told_, "abc");
}

TEST_F(EventQueueTest, WhatIsUrgentTakesTheOthersAlong) {
  add("a");
  run_posted();
  add("b");
  add("c", true);
  ASSERT_EQ(posted_.size(), 1U);
  add("d");
  EXPECT_EQ(posted_.size(), 1U) << "one on its way is enough";
  run_posted();
  EXPECT_EQ(told_, "abcd");
  EXPECT_EQ(timers_.size(), 1U) << "one timer, not one per delivery";
  add("e", true);
  pass_interval();  // before what is posted
  run_posted();
  EXPECT_EQ(told_, "abcde") << "once each, whoever comes first";
}

TEST_F(EventQueueTest, AfterItsEndNothingIsTold) {
  add("a");
  queue_.reset();
  run_posted();
  EXPECT_EQ(told_, "");
}

TEST(EventQueue, FromAnotherThreadNothingIsLost) {
  std::mutex mutex;
  std::vector<EventQueue::Event> posted;
  EventQueue::Event timer;
  EventQueue queue(
      [&](EventQueue::Event f) {
        const std::lock_guard lock(mutex);
        posted.push_back(std::move(f));
      },
      [&](std::chrono::milliseconds, EventQueue::Event f) { timer = std::move(f); });
  constexpr int kEvents = 20000;
  int told = 0;
  std::thread engine([&] {
    for (int i = 0; i < kEvents; ++i) {
      std::vector<EventQueue::Event> one;
      one.emplace_back([&told, i] { EXPECT_EQ(told++, i); });
      queue.add(std::move(one), i % 7 == 0);
    }
  });
  while (told < kEvents) {
    std::vector<EventQueue::Event> now;
    {
      const std::lock_guard lock(mutex);
      now.swap(posted);
    }
    for (const auto& f : now) f();
    if (auto f = std::exchange(timer, {})) f();
  }
  engine.join();
}

}  // namespace
}  // namespace bantam::server
