// See http.h. A transfer is one curl easy handle; a redirect reuses it with a new URL and new headers.
#include "hub/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <map>

#include "base/check.h"
#include "base/clock.h"
#include "hub/names.h"

namespace bantam::hub {
namespace {

constexpr size_t kMaxHeaders = 200, kMaxStepBytes = size_t{1} << 20;

struct UrlHandle {
  CURLU* handle = curl_url();
  ~UrlHandle() { curl_url_cleanup(handle); }
  std::string part(CURLUPart what, unsigned int flags = 0) const {
    char* text = nullptr;
    if (curl_url_get(handle, what, &text, flags) != CURLUE_OK) return "";
    std::string out(text);
    curl_free(text);
    return out;
  }
  bool set(const std::string& url) { return curl_url_set(handle, CURLUPART_URL, url.c_str(), 0) == CURLUE_OK; }
};

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.back() == '\r' || text.back() == '\n' || text.back() == ' ' || text.back() == '\t')) {
    text.remove_suffix(1);
  }
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  return text;
}

}  // namespace

Result<std::string> url_origin(const std::string& url) {
  UrlHandle parsed;
  if (!parsed.set(url)) return bad_input("expected an http or https address, got {:?}", printable_url(url));
  const std::string scheme = lower(parsed.part(CURLUPART_SCHEME));
  if (scheme != "http" && scheme != "https") return bad_input("expected an http or https address, got {:?}", scheme);
  return fmt::format("{}://{}:{}", scheme, lower(parsed.part(CURLUPART_HOST)),
                     parsed.part(CURLUPART_PORT, CURLU_DEFAULT_PORT));
}

Result<std::string> resolve_url(const std::string& base, const std::string& location) {
  UrlHandle parsed;
  if (!parsed.set(base) || !parsed.set(location)) {
    return bad_input("a redirect to what is no address: {:?}", printable_url(location));
  }
  return parsed.part(CURLUPART_URL);
}

std::string printable_url(const std::string& url) {
  std::string out = url.substr(0, url.find_first_of("?#"));
  const size_t scheme = out.find("://");
  const size_t host = scheme == out.npos ? 0 : scheme + 3;
  const size_t at = out.substr(0, out.find('/', host)).rfind('@');
  if (at != out.npos && at >= host) out.erase(host, at + 1 - host);
  if (out.size() > 200) out = out.substr(0, 200) + "...";
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return out;
}

std::string escape_url(std::string_view text, bool keep_slashes) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '_' || c == '.' || c == '~' || (c == '/' && keep_slashes);
    if (plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string_view HttpResponse::header(std::string_view name) const {
  for (auto at = headers.rbegin(); at != headers.rend(); ++at) {
    if (at->first == name) return at->second;
  }
  return "";
}

struct HttpSession::Transfer {
  CURL* easy = nullptr;
  curl_slist* header_list = nullptr;
  HttpRequest request;
  HttpHandler* handler = nullptr;
  HttpResponse response;
  int hops = 0;
  size_t step_bytes = 0;  // of the bodies of redirects
  bool told_head = false, declined = false;
  Stopwatch quiet;  // since the last byte
  char error[CURL_ERROR_SIZE] = "";

  ~Transfer() {
    curl_slist_free_all(header_list);
    curl_easy_cleanup(easy);
  }

  // Whether this answer is a step on the way rather than the end of it.
  bool is_step() const {
    if (!response.is_redirect() || response.location.empty()) return false;
    if (request.follow_foreign) return true;
    const auto from = url_origin(response.url), to = url_origin(response.location);
    return from.ok() && to.ok() && *from == *to;
  }

  bool tell_head() {
    if (told_head) return !declined;
    told_head = true;
    declined = !handler->on_head(response);
    return !declined;
  }

  static size_t on_header(char* data, size_t size, size_t count, void* self) {
    auto* t = static_cast<Transfer*>(self);
    t->quiet = Stopwatch();
    const std::string_view line = trim({data, size * count});
    if (line.starts_with("HTTP/")) {
      t->response.headers.clear();  // of "100 Continue"
      t->response.location.clear();
      return size * count;
    }
    const size_t colon = line.find(':');
    if (colon != line.npos) {
      if (t->response.headers.size() >= kMaxHeaders) return 0;
      t->response.headers.emplace_back(lower(line.substr(0, colon)), std::string(trim(line.substr(colon + 1))));
    } else if (line.empty()) {
      curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->response.status);
      if (t->response.is_redirect()) {
        auto target = resolve_url(t->response.url, std::string(t->response.header("location")));
        if (target.ok()) t->response.location = std::move(*target);
      }
    }
    return size * count;
  }

  static size_t on_body(char* data, size_t size, size_t count, void* self) {
    auto* t = static_cast<Transfer*>(self);
    t->quiet = Stopwatch();
    if (t->is_step()) {
      t->step_bytes += size * count;
      return t->step_bytes <= kMaxStepBytes ? size * count : 0;
    }
    if (!t->tell_head()) return 0;
    if (t->handler->on_bytes(std::as_bytes(std::span(data, size * count)))) return size * count;
    t->declined = true;
    return 0;
  }
};

struct HttpSession::Impl {
  explicit Impl(HttpOptions given) : options(std::move(given)) {
    static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    BANTAM_CHECK(ready);
    multi = curl_multi_init();
  }
  ~Impl() {
    while (!transfers.empty()) remove(transfers.begin()->second->easy);
    curl_multi_cleanup(multi);
  }

  void configure(Transfer& t) {
    CURL* easy = t.easy;
    curl_easy_reset(easy);
    curl_slist_free_all(t.header_list);
    t.header_list = curl_slist_append(nullptr, "Accept-Encoding: identity");
    const auto origin = url_origin(t.response.url);
    if (!options.token.empty() && origin.ok() && *origin == options.token_origin) {
      t.header_list = curl_slist_append(t.header_list, ("Authorization: Bearer " + options.token).c_str());
    }
    t.error[0] = '\0';
    curl_easy_setopt(easy, CURLOPT_URL, t.response.url.c_str());
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t.header_list);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, options.user_agent.c_str());
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    // Ranges over one HTTP/2 connection would share its one window: each gets a connection of its own.
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(1000 * options.connect_s));
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L << 10);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t.error);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, &t);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Transfer::on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &t);
    if (t.request.head) curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    if (t.request.range) {
      const std::string range = fmt::format("{}-{}", t.request.range->first, t.request.range->second);
      curl_easy_setopt(easy, CURLOPT_RANGE, range.c_str());
    }
  }

  void begin(Transfer& t) {
    configure(t);
    t.quiet = Stopwatch();
    curl_multi_add_handle(multi, t.easy);
  }

  std::unique_ptr<Transfer> remove(CURL* easy) {
    curl_multi_remove_handle(multi, easy);
    auto node = transfers.extract(easy);
    return std::move(node.mapped());
  }

  // Goes on to where a redirect points; the trouble when it must not.
  std::string follow(Transfer& t) {
    if (++t.hops > options.redirects) {
      return fmt::format("more than {} redirects, the last to {}", options.redirects,
                         printable_url(t.response.location));
    }
    const auto to = url_origin(t.response.location);
    if (!to.ok()) return std::string(to.status().message());
    if (t.response.url.starts_with("https:") && to->starts_with("http:")) {
      return fmt::format("a redirect from https to {}, which would not be private", printable_url(t.response.location));
    }
    t.response.url = t.response.location;
    t.response.location.clear();
    curl_multi_remove_handle(multi, t.easy);
    begin(t);
    return "";
  }

  void end(CURL* easy, CURLcode code, std::string trouble) {
    Transfer& going = *transfers.at(easy);
    if (code == CURLE_OK && trouble.empty() && going.is_step()) {
      trouble = follow(going);
      if (trouble.empty()) return;
    }
    const std::unique_ptr<Transfer> t = remove(easy);
    HttpEnd out;
    if (trouble.empty() && code == CURLE_OK) {
      out.complete = t->tell_head();  // of an answer without a body nobody has heard yet
    } else if (trouble.empty() && !t->declined) {
      trouble = t->error[0] != '\0' ? t->error : curl_easy_strerror(code);
    }
    out.trouble = std::move(trouble);
    curl_off_t seconds = 0;
    if (curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK) {
      out.retry_after_s = static_cast<double>(seconds);
    }
    out.response = std::move(t->response);
    t->handler->on_end(out);
  }

  void end_stalled() {
    std::vector<CURL*> stalled;
    for (const auto& [easy, t] : transfers) {
      if (t->quiet.elapsed_ms() > 1000 * options.stall_s) stalled.push_back(easy);
    }
    for (CURL* easy : stalled) {
      if (transfers.count(easy) == 0) continue;  // cancelled by another's end
      end(easy, CURLE_OPERATION_TIMEDOUT,
          fmt::format("no byte for {:g} s from {}", options.stall_s, printable_url(transfers.at(easy)->response.url)));
    }
  }

  HttpOptions options;
  CURLM* multi = nullptr;
  std::map<CURL*, std::unique_ptr<Transfer>> transfers;
};

HttpSession::HttpSession(HttpOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
HttpSession::~HttpSession() = default;

void HttpSession::start(const HttpRequest& request, HttpHandler* handler) {
  auto t = std::make_unique<Transfer>();
  t->easy = curl_easy_init();
  BANTAM_CHECK(t->easy != nullptr);
  t->request = request;
  t->handler = handler;
  t->response.url = request.url;
  Transfer& going = *t;
  impl_->transfers.emplace(going.easy, std::move(t));
  impl_->begin(going);
}

void HttpSession::cancel(HttpHandler* handler) {
  for (const auto& [easy, t] : impl_->transfers) {
    if (t->handler != handler) continue;
    impl_->remove(easy);
    return;
  }
}

size_t HttpSession::running() const {
  return impl_->transfers.size();
}

void HttpSession::poll(int wait_ms) {
  int count = 0;
  curl_multi_perform(impl_->multi, &count);
  int left = 0;
  bool ended = false;
  while (const CURLMsg* message = curl_multi_info_read(impl_->multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* easy = message->easy_handle;
    const CURLcode code = message->data.result;
    if (impl_->transfers.count(easy) == 0) continue;
    impl_->end(easy, code, "");
    ended = true;
  }
  impl_->end_stalled();
  if (!ended) curl_multi_poll(impl_->multi, nullptr, 0, wait_ms, nullptr);
}

HttpSession::Answer HttpSession::fetch(const HttpRequest& request, size_t max_bytes,
                                       const std::function<bool()>& keep_going) {
  struct Small final : HttpHandler {
    bool on_head(const HttpResponse&) override { return true; }
    bool on_bytes(std::span<const std::byte> bytes) override {
      if (bytes.size() > max_bytes - answer.body.size()) {
        too_large = true;
        return false;
      }
      answer.body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      return true;
    }
    void on_end(const HttpEnd& end) override {
      answer.end = end;
      if (too_large) answer.end.trouble = fmt::format("an answer of more than {} bytes", max_bytes);
      ended = true;
    }
    Answer answer;
    size_t max_bytes = 0;
    bool ended = false, too_large = false;
  } small;
  small.max_bytes = max_bytes;
  start(request, &small);
  while (!small.ended) {
    if (keep_going && !keep_going()) {
      cancel(&small);
      small.answer.end.trouble = "interrupted";
      break;
    }
    poll(100);
  }
  return std::move(small.answer);
}

}  // namespace bantam::hub
