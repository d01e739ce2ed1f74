// See server.h. The calling thread becomes the I/O thread.
#include "server/server.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <csignal>
#include <memory>

#include "server/api.h"

namespace bantam::server {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// Whether only this machine can reach it.
bool is_private(const HttpListen& listen) {
  if (!listen.unix_socket.empty() || listen.host == "localhost") return true;
  error_code error;
  const auto address = asio::ip::make_address(listen.host, error);
  return !error && address.is_loopback();
}

class Server {
 public:
  Server(std::vector<ModelSpec> models, const ServerOptions& options, const ServerEvents& events)
      : options_(options),
        events_(events),
        access_(options.access),
        host_(
            std::move(models), options.host, [this](std::function<void()> f) { asio::post(io_, std::move(f)); },
            [this](std::chrono::milliseconds after, std::function<void()> f) { run_later(after, std::move(f)); }),
        http_(
            io_, options.limits, [this](HttpRequest& head, const ResponderPtr& responder) { admit(head, responder); },
            [this](HttpRequest request, const ResponderPtr& responder) { handle(std::move(request), responder); },
            [this](const std::string& route, int status) {
              ++metrics_.answers[{route, status}];
            }),
        signals_(io_, SIGINT, SIGTERM),
        tick_(io_),
        deadline_(io_) {
    api_.draining = [this] { return draining_; };
    api_.connections = [this] { return http_.counts().connections; };
    api_.slots_folder = options_.slots_folder;
    add_openai_chat_routes(router_, api_);
    add_openai_completion_routes(router_, api_);
    add_openai_responses_routes(router_, api_);
    add_embedding_routes(router_, api_);
    add_anthropic_routes(router_, api_);
    add_ollama_routes(router_, api_);
    add_token_routes(router_, api_);
    add_admin_routes(router_, api_);
    if (!options.slots_folder.empty()) add_slot_routes(router_, api_);
    if (options.web) add_web_routes(router_);
  }

  Status run() {
    BANTAM_TRY(http_.listen(options_.listen));
    host_.with_model("", [this](Result<ModelLease> model) {
      if (model.ok()) {
        events_.listening(http_.url());
        return tell_models();
      }
      if (draining_) return;  // which ends it, when those who waited have their answers
      result_ = model.status();
      io_.stop();
    });
    wait_for_signal();
    tick();
    io_.run();
    return result_;
  }

 private:
  void run_later(std::chrono::milliseconds after, std::function<void()> f) {
    auto timer = std::make_shared<asio::steady_timer>(io_, after);
    timer->async_wait([timer, f = std::move(f)](error_code error) {
      if (!error) f();
    });
  }

  // Answers what can be refused, or answered, before a body is read; else the head gets its owner.
  void admit(HttpRequest& request, const ResponderPtr& responder) {
    for (auto& [name, value] : access_.cors_headers(request)) responder->add_header(name, value);
    if (auto refusal = access_.check_origin(request)) return responder->reply(std::move(*refusal));
    if (request.method == "OPTIONS") return preflight(request, responder);
    const Router::Match match = router_.find(request.method, request.path);
    if (match.route != nullptr) responder->set_route(match.route->path);
    const bool is_public = match.route != nullptr && match.route->is_public;
    if (!is_public) {
      if (auto refusal = access_.check_key(request, &request.owner)) {
        return responder->reply(match.route != nullptr ? reworded(std::move(*refusal), match.route->words) : *refusal);
      }
    }
    if (match.route == nullptr) return refuse_route(match, responder);
    request.tail = match.tail;
  }

  // REQUIRES: admitted.
  void handle(HttpRequest request, const ResponderPtr& responder) {
    const Router::Match match = router_.find(request.method, request.path);
    match.route->handler(std::move(request), responder);
  }

  void preflight(const HttpRequest& request, const ResponderPtr& responder) {
    const Router::Match match = router_.find(request.method, request.path);
    responder->reply({.status = match.allow.empty() ? 404 : 204, .type = "", .headers = {{"Allow", match.allow}}});
  }
  void refuse_route(const Router::Match& match, const ResponderPtr& responder) {
    if (match.allow.empty()) {
      return responder->reply(error_reply(404, "no such route; GET /openapi.json lists them", "not_found"));
    }
    HttpReply reply = error_reply(405, "this route takes " + match.allow, "method_not_allowed");
    reply.headers.emplace_back("Allow", match.allow);
    responder->reply(std::move(reply));
  }

  void wait_for_signal() {
    signals_.async_wait([this](error_code error, int) {
      if (error) return;
      if (draining_) return stop();
      draining_ = true;
      events_.note("draining: answers in work are finished, new ones refused; once more stops at once");
      wait_for_signal();
      deadline_.expires_after(std::chrono::milliseconds(static_cast<int64_t>(options_.drain_s * 1000)));
      deadline_.async_wait([this](error_code cancelled) {
        if (!cancelled) stop();
      });
      host_.stop_loading();
      http_.drain([this] { io_.stop(); });
    });
  }

  // Ends every answer with an error event, then the connections.
  void stop() {
    host_.stop();
    deadline_.expires_after(std::chrono::milliseconds(200));
    deadline_.async_wait([this](error_code) {
      http_.stop();
      io_.stop();
    });
  }

  void tick() {
    tick_.expires_after(std::chrono::seconds(1));
    tick_.async_wait([this](error_code error) {
      if (error) return;
      host_.tick();
      tell_models();
      tick();
    });
  }

  void tell_models() {
    std::vector<std::pair<std::string, int64_t>> loaded;
    for (const auto& state : host_.models()) {
      if (state.face != nullptr) loaded.emplace_back(state.id, state.bytes);
    }
    if (loaded == told_) return;
    told_ = std::move(loaded);
    events_.models(told_);
  }

  ServerOptions options_;
  ServerEvents events_;
  std::vector<std::pair<std::string, int64_t>> told_;
  asio::io_context io_{1};
  AccessPolicy access_;
  Metrics metrics_;
  ModelHost host_;
  Router router_;
  Api api_{host_, metrics_, options_.version, {}, {}, {}};
  HttpServer http_;
  asio::signal_set signals_;
  asio::steady_timer tick_, deadline_;
  bool draining_ = false;
  Status result_;
};

}  // namespace

Status serve(std::vector<ModelSpec> models, const ServerOptions& options, const ServerEvents& events) {
  if (!is_private(options.listen) && options.access.keys.empty() && !options.insecure) {
    return usage_error(
        "{}: others can reach this address, so a key is needed: --api-key-file FILE (or --insecure-no-auth, if that is "
        "what you want)",
        options.listen.host);
  }
  Server server(std::move(models), options, events);
  return server.run();
}

}  // namespace bantam::server
