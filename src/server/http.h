// A request and its answer, free of sockets: what routes and handlers see. A Responder is the way back to one client;
// the connection that made it waits for what handlers put into it. All of it lives on the I/O thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bantam::server {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method, path, query;  // path as sent, without the query
  Headers headers;                  // names in lower case
  std::string body;
  std::string tail;   // what the last part of the route's pattern, "{...}", matched
  std::string owner;  // which API key was used: fairness and remembered prompts are per owner

  // The value of the first header of that name (lower case), or "".
  std::string_view header(std::string_view name) const;
};

struct HttpReply {
  int status = 200;
  std::string type = "application/json";
  std::string body;
  Headers headers;
};

// One request's answer: either reply() once, or begin_stream(), any number of write() and end(). Calls after the client
// has gone do nothing.
class Responder {
 public:
  // `wake` tells the connection that there is something to send.
  explicit Responder(std::function<void()> wake) : wake_(std::move(wake)) {}

  void reply(HttpReply reply);
  void begin_stream(std::string type, Headers headers = {});
  void write(std::string_view bytes);
  void end();
  // Memory ran out: 503 where nothing was answered yet, else the answer ends here, unfinished. Never throws.
  void out_of_memory() noexcept;
  // Headers that go with whatever answer is given (e.g. a warning).
  void add_header(std::string name, std::string value) { extra_.emplace_back(std::move(name), std::move(value)); }

  // Which route answers, as its pattern; "" until one was found. For counting.
  void set_route(std::string pattern) { route_ = std::move(pattern); }
  const std::string& route() const { return route_; }

  bool answered() const { return answered_; }
  bool streaming() const { return streaming_; }
  bool gone() const { return gone_; }
  // Called once when the client goes away before the answer has ended.
  void on_gone(std::function<void()> heard) { heard_gone_ = std::move(heard); }

  // For the connection: the head (of a stream: without body), what is to be written, whether that is all.
  HttpReply take_head();
  std::string take_pending() { return std::exchange(pending_, {}); }
  size_t pending_bytes() const { return pending_.size(); }
  bool ended() const { return ended_; }
  bool aborted() const { return aborted_; }
  void client_gone();

 private:
  std::function<void()> wake_, heard_gone_;
  HttpReply head_;
  Headers extra_;
  std::string pending_, route_;
  bool answered_ = false, streaming_ = false, ended_ = false, aborted_ = false, gone_ = false;
};

// "Mon, 23 Nov 2026 01:39:06 GMT", as the Date header has it (RFC 9110, 5.6.7).
std::string http_date(std::chrono::system_clock::time_point time);

}  // namespace bantam::server
