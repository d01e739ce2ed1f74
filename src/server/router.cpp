// See router.h.
#include "server/router.h"

#include <algorithm>

namespace bantam::server {
namespace {

JsonValue text(std::string_view value) {
  return JsonValue::string(std::string(value));
}

// What "{name}" at the end of `pattern` matches of `path`; nullopt when the path is another one.
std::optional<std::string> matched_tail(std::string_view pattern, std::string_view path) {
  const size_t brace = pattern.find('{');
  if (brace == std::string_view::npos) return pattern == path ? std::optional<std::string>("") : std::nullopt;
  if (!path.starts_with(pattern.substr(0, brace)) || path.size() == brace) return std::nullopt;
  return std::string(path.substr(brace));
}

std::string lower(std::string_view s) {
  std::string out(s);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  return out;
}

JsonValue operation_of(const Route& route) {
  JsonValue out = JsonValue::object({{"summary", text(route.summary)}, {"tags", JsonValue::array({text(route.tag)})}});
  if (!route.is_public) out.set("security", JsonValue::array({JsonValue::object({{"key", JsonValue::array()}})}));
  if (const size_t brace = route.path.find('{'); brace != std::string::npos) {
    const std::string name = route.path.substr(brace + 1, route.path.size() - brace - 2);
    out.set("parameters",
            JsonValue::array({JsonValue::object({{"name", text(name)},
                                                 {"in", text("path")},
                                                 {"required", JsonValue::boolean(true)},
                                                 {"schema", JsonValue::object({{"type", text("string")}})}})}));
  }
  if (!route.body.empty()) {
    auto example = parse_json(route.body, "example");
    JsonValue media = JsonValue::object({{"schema", JsonValue::object({{"type", text("object")}})}});
    if (example.ok()) media.set("example", std::move(*example));
    out.set("requestBody",
            JsonValue::object({{"required", JsonValue::boolean(true)},
                               {"content", JsonValue::object({{"application/json", std::move(media)}})}}));
  }
  out.set("responses",
          JsonValue::object({{"200", JsonValue::object({{"description", text("done")}})},
                             {"4XX", JsonValue::object({{"description", text("what was wrong with it")}})}}));
  return out;
}

}  // namespace

Router::Match Router::find(std::string_view method, std::string_view path) const {
  Match out;
  for (const Route& route : routes_) {
    auto tail = matched_tail(route.path, path);
    if (!tail) continue;
    if (!out.allow.empty()) out.allow += ", ";
    out.allow += route.method;
    const bool fits = route.method == method || (method == "HEAD" && route.method == "GET");
    if (!fits || out.route != nullptr) continue;
    out.route = &route;
    out.tail = std::move(*tail);
  }
  return out;
}

JsonValue Router::openapi(std::string_view version) const {
  JsonValue paths = JsonValue::object();
  for (const Route& route : routes_) {
    const JsonValue* known = paths.find(route.path);
    JsonValue item = known != nullptr ? *known : JsonValue::object();
    item.set(lower(route.method), operation_of(route));
    paths.set(route.path, std::move(item));
  }
  JsonValue key = JsonValue::object({{"type", text("http")}, {"scheme", text("bearer")}});
  return JsonValue::object(
      {{"openapi", text("3.1.0")},
       {"info", JsonValue::object({{"title", text("bantam")}, {"version", text(version)}})},
       {"paths", std::move(paths)},
       {"components", JsonValue::object({{"securitySchemes", JsonValue::object({{"key", std::move(key)}})}})}});
}

}  // namespace bantam::server
