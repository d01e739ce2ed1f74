// The HTTP/1.1 server: listens on TCP, with or without TLS, and on a Unix socket, reads requests within limits and
// hands them to a function. One thread runs everything (run()); handlers are called on it and must not wait. Source of
// the limits: docs/security.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "server/http.h"

namespace boost::asio {
class io_context;
}

namespace bantam::server {

struct HttpLimits {
  size_t request_line_bytes = 8 << 10, header_bytes = 16 << 10, header_fields = 100;
  size_t body_bytes = 8 << 20;
  double header_s = 10;     // for all of a request's header
  double body_grace_s = 5;  // then a body has to arrive at body_bytes_per_s on average
  double body_bytes_per_s = 1 << 10;
  double keep_alive_s = 60;  // between requests
  int64_t connections = 1024, connections_per_address = 128;
  size_t output_bytes = 256 << 10;  // of a stream that waits for a slow reader; more, and the reader is let go
  double write_s = 30;              // for one write to be taken
  double ping_s = 15;               // between comments in a silent stream of events; 0: none
};

struct HttpListen {
  std::string host = "127.0.0.1";
  int port = 8080;                       // 0: any free one
  std::string unix_socket;               // a path: listens there instead
  std::string tls_certificate, tls_key;  // PEM files; both or none
};

// What the server counts, for /metrics and /health.
struct HttpCounts {
  int64_t connections = 0, accepted = 0, refused = 0, requests = 0, requests_open = 0;
};

// Sees the header of every request before its body is read; what it answers ends the matter, and no body is read.
using HttpGate = std::function<void(HttpRequest& head, const std::shared_ptr<Responder>&)>;
using HttpHandler = std::function<void(HttpRequest, const std::shared_ptr<Responder>&)>;
// Hears of every response when its head is sent; `route` as the Responder has it, "" for what no route answered.
using HttpAnswered = std::function<void(const std::string& route, int status)>;

class HttpServer {
 public:
  HttpServer(boost::asio::io_context& io, HttpLimits limits, HttpGate gate, HttpHandler handler, HttpAnswered answered);
  ~HttpServer();

  // Binds and begins to accept. kFailed, naming the address, when it is taken or not ours.
  Status listen(const HttpListen& where);
  // "http://127.0.0.1:8080", with the port that was found; "unix:/path".
  std::string url() const;
  // No new connections; idle ones are closed, the others after their answer. `done` when none is left.
  void drain(std::function<void()> done);
  // Closes everything.
  void stop();
  const HttpCounts& counts() const;

  struct Shared;  // what connections share; in http_connection.h

 private:
  std::shared_ptr<Shared> shared_;
  struct Listener;
  std::unique_ptr<Listener> listener_;
};

}  // namespace bantam::server
