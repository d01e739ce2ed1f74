// GET / and GET /ui/...: the web UI, from memory. The pages hold nothing secret, so they need no key; what they ask for
// does. The policy allows nothing that did not come from here.
#include <algorithm>

#include "server/api.h"
#include "server/web_assets.h"

namespace bantam::server {
namespace {

constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

void send(const HttpRequest& request, const ResponderPtr& responder) {
  const auto assets = web_assets();
  const auto found =
      std::find_if(assets.begin(), assets.end(), [&](const WebAsset& asset) { return asset.path == request.path; });
  if (found == assets.end()) return responder->reply(error_reply(404, "no such file", "not_found"));
  HttpReply reply{.type = std::string(found->type), .body = {}, .headers = {}};
  reply.headers = {{"ETag", std::string(found->etag)},
                   {"Cache-Control", "no-cache"},
                   {"Content-Security-Policy", std::string(kPolicy)},
                   {"Referrer-Policy", "no-referrer"},
                   {"Cross-Origin-Opener-Policy", "same-origin"}};
  if (request.header("if-none-match") == found->etag) {
    reply.status = 304;
    return responder->reply(std::move(reply));
  }
  if (!found->encoding.empty()) {
    if (request.header("accept-encoding").find(found->encoding) == std::string_view::npos) {
      return responder->reply(error_reply(406, "these files are sent compressed: Accept-Encoding: gzip", ""));
    }
    reply.headers.emplace_back("Content-Encoding", std::string(found->encoding));
    reply.headers.emplace_back("Vary", "Accept-Encoding");
  }
  reply.body = found->bytes;
  responder->reply(std::move(reply));
}

}  // namespace

void add_web_routes(Router& router) {
  for (const char* path : {"/", "/ui/{file}"}) {
    router.add({.method = "GET",
                .path = path,
                .summary = "the web page and its files",
                .handler = [](HttpRequest request, const ResponderPtr& responder) { send(request, responder); },
                .is_public = true,
                .body = "",
                .tag = "bantam"});
  }
}

}  // namespace bantam::server
