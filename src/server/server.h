// The whole server: models, routes, sockets and signals, from start to drain. What `bantam serve` runs.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "server/access.h"
#include "server/http_server.h"
#include "server/model_host.h"

namespace bantam::server {

struct ServerOptions {
  HttpListen listen;
  HttpLimits limits;
  AccessOptions access;
  HostOptions host;
  bool insecure = false;     // a public address without a key
  bool web = true;           // the web UI at /
  std::string slots_folder;  // where conversations may be kept; "": nowhere
  double drain_s = 30;       // after SIGTERM: longest wait for answers in work
  std::string version;
};

// What the caller hears; on the I/O thread.
struct ServerEvents {
  std::function<void(const std::string& url)> listening;  // the first model is there, requests are taken
  // What is loaded has changed: names and bytes of weights.
  std::function<void(const std::vector<std::pair<std::string, int64_t>>&)> models;
  std::function<void(const std::string& text)> note;  // one line for a log: no prompts, no answers
};

// Serves until SIGINT or SIGTERM: the first drains, the second stops. kUsage for a public address without a key; errors
// of listening and of the first model's loading.
Status serve(std::vector<ModelSpec> models, const ServerOptions& options, const ServerEvents& events);

}  // namespace bantam::server
