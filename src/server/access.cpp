// See access.h. Keys are compared as digests in constant time, all of them, whichever fits.
#include "server/access.h"

#include <fmt/ranges.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "server/error_reply.h"

namespace bantam::server {
namespace {

std::array<uint8_t, 32> digest(std::string_view key) {
  std::array<uint8_t, 32> out{};
  ::SHA256(reinterpret_cast<const uint8_t*>(key.data()), key.size(), out.data());
  return out;
}

// "localhost:8080" -> "localhost", "[::1]:80" -> "::1".
std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) {
    const size_t end = host.find(']');
    return end == std::string_view::npos ? host : host.substr(1, end - 1);
  }
  return host.substr(0, host.find(':'));
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

// Authorization: Bearer KEY (OpenAI and most others) or x-api-key: KEY (Anthropic).
std::string_view presented_key(const HttpRequest& request) {
  const std::string_view authorization = request.header("authorization");
  constexpr std::string_view kBearer = "bearer ";
  if (authorization.size() > kBearer.size() && equal_ignoring_case(authorization.substr(0, kBearer.size()), kBearer)) {
    return authorization.substr(kBearer.size());
  }
  return request.header("x-api-key");
}

}  // namespace

Result<std::vector<std::string>> read_key_file(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return bad_input("{}: cannot read: {}", path, std::strerror(errno));
  if (S_ISREG(info.st_mode) && (info.st_mode & 077) != 0) {
    return bad_input("{}: others can read this key file (mode {:03o}); chmod 600 it", path, info.st_mode & 0777);
  }
  std::ifstream file(path);
  std::vector<std::string> keys;
  for (std::string line; std::getline(file, line);) {
    line.resize(std::min(line.size(), line.find('#')));
    const size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string::npos) continue;
    keys.push_back(line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin));
  }
  if (keys.empty()) return bad_input("{}: expected at least one key, one per line", path);
  return keys;
}

AccessPolicy::AccessPolicy(AccessOptions options) : options_(std::move(options)) {
  for (const std::string& key : options_.keys) digests_.push_back(digest(key));
  options_.keys.clear();
  // As an address is written by itself; in a URL an IPv6 one has brackets.
  for (std::string& host : options_.hosts) {
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  }
  for (const char* own : {"localhost", "127.0.0.1", "::1"}) options_.hosts.emplace_back(own);
}

bool AccessPolicy::allows_origin(std::string_view origin, std::string_view host) const {
  for (const std::string& allowed : options_.origins) {
    if (allowed == "*" || equal_ignoring_case(allowed, origin)) return true;
  }
  // A page this server delivered itself.
  const size_t scheme = origin.find("://");
  return scheme != std::string_view::npos && !host.empty() && equal_ignoring_case(origin.substr(scheme + 3), host);
}

std::optional<HttpReply> AccessPolicy::check_origin(const HttpRequest& request) const {
  const std::string_view host = request.header("host");
  if (!options_.any_host) {
    const std::string_view name = without_port(host);
    const bool known = std::any_of(options_.hosts.begin(), options_.hosts.end(), [&](const std::string& allowed) {
      return allowed == "*" || equal_ignoring_case(allowed, name);
    });
    if (!known)
      return error_reply(403, "this Host is not served here; --allow-host NAME allows it", "host_not_allowed");
  }
  const std::string_view origin = request.header("origin");
  if (!origin.empty() && !allows_origin(origin, host)) {
    return error_reply(403, "this Origin may not call; --cors-origin ORIGIN allows it", "origin_not_allowed");
  }
  return std::nullopt;
}

std::optional<HttpReply> AccessPolicy::check_key(const HttpRequest& request, std::string* owner) const {
  if (digests_.empty()) return std::nullopt;
  const auto shown = digest(presented_key(request));
  bool found = false;
  for (const auto& known : digests_) found |= CRYPTO_memcmp(shown.data(), known.data(), shown.size()) == 0;
  if (!found) {
    HttpReply refusal = error_reply(401, "a valid API key is needed: Authorization: Bearer KEY", "invalid_api_key");
    refusal.headers.emplace_back("WWW-Authenticate", "Bearer");
    return refusal;
  }
  // A name that does not depend on the other keys and tells nothing of this one.
  *owner = fmt::format("key-{:02x}", fmt::join(shown.begin(), shown.begin() + 8, ""));
  return std::nullopt;
}

Headers AccessPolicy::cors_headers(const HttpRequest& request) const {
  const std::string_view origin = request.header("origin");
  if (origin.empty() || options_.origins.empty() || !allows_origin(origin, request.header("host"))) return {};
  return {{"Access-Control-Allow-Origin", std::string(origin)},
          {"Vary", "Origin"},
          {"Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS"},
          {"Access-Control-Allow-Headers", "authorization, content-type, x-api-key, anthropic-version, anthropic-beta"},
          {"Access-Control-Expose-Headers", "x-bantam-warning, retry-after"},
          {"Access-Control-Max-Age", "600"}};
}

}  // namespace bantam::server
