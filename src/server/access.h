// Who may talk to the server: API keys, the Host and Origin a request must carry, and the CORS headers for the origins
// that are allowed. Loopback without a key is open to local programs, but never to a web page of another site: its
// Origin is foreign, and a name that was rebound to 127.0.0.1 shows in Host. Immutable after start; thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/http.h"

namespace bantam::server {

struct AccessOptions {
  std::vector<std::string> keys;
  std::vector<std::string> hosts;    // allowed beside localhost, 127.0.0.1, [::1] and the address listened on
  std::vector<std::string> origins;  // allowed to call from a browser; "*" = any, only without keys' protection at risk
  bool any_host = false;             // a Unix socket has no host
};

// Keys of a file, one per line; '#' begins a comment. kBadInput when others than its owner can read it.
Result<std::vector<std::string>> read_key_file(const std::string& path);

class AccessPolicy {
 public:
  explicit AccessPolicy(AccessOptions options);

  // The refusal (403 for Host or Origin), or nothing. For every request.
  std::optional<HttpReply> check_origin(const HttpRequest& request) const;
  // 401 without a good key where keys are set; else names the owner of the request.
  std::optional<HttpReply> check_key(const HttpRequest& request, std::string* owner) const;
  // What a browser of an allowed origin needs to see; empty otherwise.
  Headers cors_headers(const HttpRequest& request) const;
  bool has_keys() const { return !digests_.empty(); }

 private:
  bool allows_origin(std::string_view origin, std::string_view host) const;

  AccessOptions options_;
  std::vector<std::array<uint8_t, 32>> digests_;  // SHA-256 of the keys
};

}  // namespace bantam::server
