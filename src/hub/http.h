// HTTP for downloads: several transfers at once over libcurl, in the caller's thread. What a downloader has to decide
// for itself is decided here: redirects are followed by hand, so that the token goes to its own origin and nowhere
// else; silence is noticed after stall_s; bodies arrive as they were sent (no decoding). One thread per session.
//
// Proxies come from the environment, as curl reads it (https_proxy, no_proxy ...). The token appears in no message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace bantam::hub {

struct HttpOptions {
  std::string token, token_origin;  // sent to this "scheme://host:port" only
  std::string user_agent = "bantam";
  double connect_s = 15;
  double stall_s = 30;  // without a byte
  int redirects = 8;    // of one request
};

// "https://host:443" of a URL, scheme and host in lower case; kBadInput for what is no http(s) URL.
Result<std::string> url_origin(const std::string& url);
// `location` as a browser on the page `base` would understand it.
Result<std::string> resolve_url(const std::string& base, const std::string& location);
// For messages: without query and credentials, which can be secrets.
std::string printable_url(const std::string& url);
// One part of a path, escaped; with `keep_slashes` a whole path.
std::string escape_url(std::string_view text, bool keep_slashes);

struct HttpResponse {
  long status = 0;
  std::string url;                                           // where it came from, redirects followed
  std::string location;                                      // of a redirect that was not followed, absolute
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case

  std::string_view header(std::string_view name) const;  // of the last of that name; "" when there is none
  bool is_redirect() const { return status == 301 || status == 302 || status == 303 || status == 307 || status == 308; }
};

struct HttpRequest {
  std::string url;
  bool head = false;
  std::optional<std::pair<int64_t, int64_t>> range;  // first and last byte
  bool follow_foreign = true;                        // false: a redirect to another origin is the answer
};

// How a transfer ended. `complete`: the whole body came, whatever the status says.
struct HttpEnd {
  bool complete = false;
  std::string trouble;       // when not complete
  double retry_after_s = 0;  // the server's wish, 0 when it has none
  HttpResponse response;
};

// Called from HttpSession::poll. on_head and on_bytes must not start or cancel transfers; on_end may.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // The answer's head, once, redirects followed. False ends the transfer (on_end follows).
  virtual bool on_head(const HttpResponse& response) = 0;
  virtual bool on_bytes(std::span<const std::byte> bytes) = 0;
  virtual void on_end(const HttpEnd& end) = 0;  // last, once; not after cancel()
};

class HttpSession {
 public:
  explicit HttpSession(HttpOptions options);
  ~HttpSession();
  HttpSession(const HttpSession&) = delete;
  HttpSession& operator=(const HttpSession&) = delete;

  // REQUIRES: the handler outlives the transfer; one transfer per handler at a time.
  void start(const HttpRequest& request, HttpHandler* handler);
  void cancel(HttpHandler* handler);  // nothing when it has no transfer
  // Lets transfers go on for at most `wait_ms`; returns early when something happened. Without any it waits.
  void poll(int wait_ms);
  size_t running() const;

  // One small answer, at most max_bytes of body. kFailed with the trouble when none came whole; any status is an
  // answer. keep_going (or null) is asked now and then; false: kCancelled.
  struct Answer {
    HttpEnd end;
    std::string body;
  };
  Answer fetch(const HttpRequest& request, size_t max_bytes, const std::function<bool()>& keep_going);

 private:
  struct Transfer;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bantam::hub
