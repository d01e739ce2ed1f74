// See hub_client.h.
#include "hub/hub_client.h"

#include <algorithm>
#include <set>

#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"
#include "hub/content_hash.h"
#include "hub/names.h"
#include "hub/retry.h"

namespace bantam::hub {
namespace {

constexpr size_t kMaxAnswerBytes = size_t{32} << 20, kMaxFiles = 100'000;
constexpr int kMaxPages = 1000;

HttpOptions http_options(const HubOptions& options) {
  HttpOptions out = options.http;
  const auto origin = url_origin(options.endpoint);
  if (origin.ok()) out.token_origin = *origin;
  return out;
}

int64_t parse_size(std::string_view text) {
  if (text.empty() || text.size() > 15) return -1;
  int64_t out = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return -1;
    out = 10 * out + (c - '0');
  }
  return out;
}

// What a server says in words, fit for a terminal.
std::string printable(std::string_view text) {
  std::string out;
  append_lossy(&out, text.substr(0, 300));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  return out;
}

// Link: <https://...?cursor=x>; rel="next", <...>; rel="last"
std::string next_page(std::string_view link) {
  while (!link.empty()) {
    const size_t open = link.find('<'), close = link.find('>');
    if (open == link.npos || close == link.npos || close < open) return "";
    const size_t end = std::min(link.find(",", close), link.size());
    if (link.substr(close, end - close).find("rel=\"next\"") != link.npos) {
      return std::string(link.substr(open + 1, close - open - 1));
    }
    link.remove_prefix(end == link.size() ? end : end + 1);
  }
  return "";
}

const JsonValue* member(const JsonValue& value, std::string_view key, JsonValue::Kind kind) {
  const JsonValue* out = value.find(key);
  return out != nullptr && out->kind() == kind ? out : nullptr;
}

// One entry of the tree; false for a folder.
Result<bool> read_entry(const JsonValue& entry, RemoteFile* out) {
  const JsonValue* type = member(entry, "type", JsonValue::Kind::kString);
  if (type != nullptr && type->as_string() != "file") return false;
  const JsonValue* path = member(entry, "path", JsonValue::Kind::kString);
  const JsonValue* size = member(entry, "size", JsonValue::Kind::kNumber);
  const JsonValue* lfs = member(entry, "lfs", JsonValue::Kind::kObject);
  const JsonValue* oid = member(lfs != nullptr ? *lfs : entry, "oid", JsonValue::Kind::kString);
  if (path == nullptr || size == nullptr || oid == nullptr) return bad_input("a file without path, size or oid");
  out->path = path->as_string();
  out->hash = oid->as_string();
  const JsonValue* lfs_size = lfs != nullptr ? member(*lfs, "size", JsonValue::Kind::kNumber) : nullptr;
  BANTAM_TRY_ASSIGN(out->bytes, (lfs_size != nullptr ? lfs_size : size)->as_int64());
  if (!is_safe_path(out->path)) return bad_input("a file called {:?}, which is no plain path", printable(out->path));
  if (!is_content_hash(out->hash) || (lfs != nullptr) != (out->hash.size() == 64)) {
    return bad_input("{}: expected a hash, got {:?}", out->path, printable(out->hash));
  }
  if (out->bytes < 0 || out->bytes > int64_t{1} << 45) return bad_input("{}: {} bytes", out->path, out->bytes);
  return true;
}

}  // namespace

std::string plain_etag(std::string_view text) {
  if (text.starts_with("W/")) text.remove_prefix(2);
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
  return std::string(text);
}

bool is_passing(long status) {
  return status == 408 || status == 416 || status == 425 || status == 429 || status >= 500;
}

Status answer_error(const HttpResponse& response, const std::string& what, bool with_token) {
  const std::string_view code = response.header("x-error-code");
  std::string said = printable(response.header("x-error-message"));
  if (!said.empty()) said = ": " + said;
  const long status = response.status;
  if (code == "GatedRepo") {
    return failed("{}: its owner wants to be asked first (on its page); then set HF_TOKEN to a token of yours{}", what,
                  said);
  }
  if (status == 401 || status == 403) {
    return failed("{}: there is no such repository, or it is private and {} (status {}){}", what,
                  with_token ? "HF_TOKEN may not read it" : "HF_TOKEN is not set", status, said);
  }
  if (status == 404) return failed("{}: not there (status 404){}", what, said);
  return failed("{}: expected an answer, got status {} from {}{}", what, status, printable_url(response.url), said);
}

HubClient::HubClient(HubOptions options) : options_(std::move(options)), session_(http_options(options_)) {}

Status HubClient::wait(double seconds) {
  const Stopwatch since;
  while (since.elapsed_ms() < 1000 * seconds) {
    if (!going_on()) return make_error(ErrorCode::kCancelled, "interrupted");
    const double left_ms = 1000 * seconds - since.elapsed_ms();
    session_.poll(static_cast<int>(std::clamp(left_ms, 1.0, 100.0)));
  }
  return {};
}

Result<HttpSession::Answer> HubClient::ask(const HttpRequest& request, const std::string& what) {
  Retry retry(options_.retries, options_.backoff_s);
  while (true) {
    HttpSession::Answer answer = session_.fetch(request, kMaxAnswerBytes, options_.keep_going);
    if (!going_on()) return make_error(ErrorCode::kCancelled, "interrupted");
    const HttpResponse& response = answer.end.response;
    const std::string_view encoding = response.header("content-encoding");
    if (answer.end.complete && !encoding.empty() && encoding != "identity") {
      answer.end.complete = false;
      answer.end.trouble = fmt::format("the answer is encoded ({})", printable(encoding));
    }
    if (answer.end.complete && (response.status / 100 == 2 || response.is_redirect())) return answer;
    const bool passing = !answer.end.complete || is_passing(response.status);
    const Status error = answer.end.complete ? answer_error(response, what, !options_.http.token.empty())
                                             : failed("{}: {}", what, printable(answer.end.trouble));
    const auto pause = passing ? retry.next(answer.end.retry_after_s) : std::nullopt;
    if (!pause) return error;
    if (options_.on_trouble) options_.on_trouble(fmt::format("{}; again in {:.1f} s", error.message(), *pause));
    BANTAM_TRY(wait(*pause));
  }
}

Result<RemoteRepo> HubClient::list(const std::string& repo, const std::string& revision) {
  RemoteRepo out;
  const std::string what = revision == "main" ? repo : fmt::format("{}@{}", repo, revision);
  const std::string api = options_.endpoint + "/api/models/" + repo;
  BANTAM_TRY_ASSIGN(const auto info, ask({api + "/revision/" + escape_url(revision, false)}, what));
  BANTAM_TRY_ASSIGN(const JsonValue head, parse_json(info.body, what));
  const JsonValue* commit = member(head, "sha", JsonValue::Kind::kString);
  if (commit == nullptr || !is_commit(commit->as_string())) return failed("{}: expected a commit from the hub", what);
  out.commit = commit->as_string();
  std::string url = fmt::format("{}/tree/{}?recursive=true", api, out.commit);
  std::set<std::string> seen;
  for (int page = 0; !url.empty(); ++page) {
    if (page == kMaxPages) return failed("{}: its list of files has no end", what);
    BANTAM_TRY_ASSIGN(const auto answer, ask({url}, what));
    BANTAM_TRY_ASSIGN(const JsonValue tree, parse_json(answer.body, what));
    if (!tree.is_array()) return failed("{}: expected a list of files, got {}", what, tree.kind_name());
    for (const JsonValue& entry : tree.items()) {
      RemoteFile file;
      auto is_file = read_entry(entry, &file);
      if (!is_file.ok()) return std::move(is_file).status().with_context(what);
      if (*is_file && seen.insert(file.path).second) out.files.push_back(std::move(file));
    }
    if (out.files.size() > kMaxFiles) return failed("{}: more than {} files", what, kMaxFiles);
    const std::string next = next_page(answer.end.response.header("link"));
    if (next.empty()) break;
    BANTAM_TRY_ASSIGN(url, resolve_url(answer.end.response.url, next));
  }
  return out;
}

Result<RemoteLocation> HubClient::locate(const std::string& repo, const std::string& commit, const std::string& path) {
  HttpRequest request;
  request.url = fmt::format("{}/{}/resolve/{}/{}", options_.endpoint, repo, commit, escape_url(path, true));
  request.head = true;
  request.follow_foreign = false;  // its address is the answer; the hub's headers are those that count
  BANTAM_TRY_ASSIGN(const auto answer, ask(request, repo + "/" + path));
  const HttpResponse& response = answer.end.response;
  RemoteLocation out;
  out.url = response.is_redirect() ? response.location : response.url;
  if (out.url.empty()) return failed("{}/{}: a redirect to nowhere", repo, path);
  const std::string_view linked = response.header("x-linked-etag"), linked_size = response.header("x-linked-size");
  out.hash = plain_etag(linked.empty() ? response.header("etag") : linked);
  if (!linked_size.empty()) {
    out.bytes = parse_size(linked_size);
  } else if (!response.is_redirect()) {
    out.bytes = parse_size(response.header("content-length"));
  }
  return out;
}

}  // namespace bantam::hub
