// The table of routes: what exists, who may call it, and what the OpenAPI description says of it. One list, so that the
// three cannot disagree. Filled at start, then only read.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "server/error_reply.h"
#include "server/http.h"

namespace bantam::server {

using Handler = std::function<void(HttpRequest, const std::shared_ptr<Responder>&)>;

struct Route {
  std::string method;   // "GET", "POST", "DELETE"
  std::string path;     // plain, or ending in "{name}", which matches the rest of the path, slashes included
  std::string summary;  // one line for the OpenAPI description
  Handler handler;
  bool is_public = false;          // needs no key
  std::string body;                // example of a body as JSON, "" for none
  std::string tag;                 // whose API: "openai", "anthropic", "ollama", "bantam"
  ErrorWords words = error_reply;  // of refusals before the handler is called
};

class Router {
 public:
  void add(Route route) { routes_.push_back(std::move(route)); }
  std::span<const Route> routes() const { return routes_; }

  struct Match {
    const Route* route = nullptr;  // null: no such path, or not with this method
    std::string tail;
    std::string allow;  // the methods the path has, ", " between; "": no such path
  };
  Match find(std::string_view method, std::string_view path) const;

  // The description of all routes, OpenAPI 3.1.
  JsonValue openapi(std::string_view version) const;

 private:
  std::vector<Route> routes_;
};

}  // namespace bantam::server
