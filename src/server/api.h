// What all groups of routes share: the way from a request's bytes to a model and back as events. One Api per server;
// I/O thread only. Each group of routes has its own file and adds itself to the router.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "server/error_reply.h"
#include "server/http.h"
#include "server/metrics.h"
#include "server/model_host.h"
#include "server/router.h"
#include "server/turn_memory.h"

namespace bantam::server {

using ResponderPtr = std::shared_ptr<Responder>;

struct Api {
  ModelHost& host;
  Metrics& metrics;
  std::string version;
  std::function<bool()> draining;
  std::function<int64_t()> connections;
  std::string slots_folder;  // "": no slots
  int64_t next_id = 1;
  std::shared_ptr<TurnMemory> turns = std::make_shared<TurnMemory>();  // also held by work beside the I/O thread

  // "chatcmpl-1f", unique in this server's life and, by its start time, between lives.
  std::string make_id(std::string_view prefix);

  // A request whose body was read and whose model is there.
  struct Received {
    HttpRequest request;
    JsonValue body;  // its text is gone from `request`; whoever has read it lets go of it: an answer may take long
    bool large = false;
    ModelLease model;
    Stopwatch since;  // it came
    ResponderPtr responder;
  };
  using Then = std::function<void(std::shared_ptr<Received>)>;
  // Parses the body as JSON, opens the model it names and goes on; a failure is answered in `words`. Large bodies are
  // read beside the I/O thread.
  void receive(HttpRequest request, const ResponderPtr& responder, ErrorWords words, Then then);
  // Its model, with the turns that its owner got from it.
  ServedModel served(const Received& received) const;
  // work(), then then(), the first beside the I/O thread when the request is large. Memory that runs out in either is
  // the request's failure.
  void work(const std::shared_ptr<Received>& received, std::function<void()> work, std::function<void()> then);

 private:
  void open_model(std::shared_ptr<Received> received, const ResponderPtr& responder, ErrorWords words, Then then);
};

// Checks of a body that every POST passes: JSON, and said to be.
Status check_body_type(const HttpRequest& request);

// A request that generates: counts, measures, ends with the client, collects. Subclasses write the answer.
class AnswerTask : public AnswerEvents, public std::enable_shared_from_this<AnswerTask> {
 public:
  AnswerTask(Api& api, ResponderPtr responder, ErrorWords words, std::shared_ptr<Api::Received> received)
      : api_(api), responder_(std::move(responder)), words_(words), received_(std::move(received)) {}

  // Submits the work with this as its events. Answers the refusal itself; then returns false.
  bool start(Work work);

  void on_delta(size_t choice, const engine::AnswerDelta& delta, std::chrono::steady_clock::time_point made_at) final;
  void on_done(size_t choice, engine::Generation answer) final;
  void on_failed(const Status& status) final;

 protected:
  virtual void delta(size_t /*choice*/, const engine::AnswerDelta& /*delta*/) {}
  virtual void choice_done(size_t /*choice*/, const engine::Generation& /*answer*/) {}
  virtual void all_done(std::span<const engine::Generation> answers) = 0;
  // After the answer has begun to stream: how an error is told there.
  virtual void stream_failed(const Status& status) = 0;

  Api& api_;
  ResponderPtr responder_;
  ErrorWords words_;
  std::shared_ptr<Api::Received> received_;

 private:
  std::vector<engine::Generation> answers_;
  std::vector<double> last_token_ms_;  // per choice; negative: none yet
  size_t left_ = 0;
};

// "X-Bantam-Warning: ignored: a, b" for fields nobody read.
void warn_unknown(Responder& responder, const std::vector<std::string>& fields);

void add_openai_chat_routes(Router& router, Api& api);
void add_openai_completion_routes(Router& router, Api& api);
void add_openai_responses_routes(Router& router, Api& api);
void add_embedding_routes(Router& router, Api& api);
void add_anthropic_routes(Router& router, Api& api);
void add_ollama_routes(Router& router, Api& api);
void add_token_routes(Router& router, Api& api);  // /tokenize and its kin
void add_admin_routes(Router& router, Api& api);  // /health, /metrics, /v1/models, /openapi.json
void add_slot_routes(Router& router, Api& api);   // kept conversations
void add_web_routes(Router& router);              // the page at /

}  // namespace bantam::server
