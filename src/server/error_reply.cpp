// See error_reply.h.
#include "server/error_reply.h"

#include <algorithm>

namespace bantam::server {
namespace {

std::string_view error_type(int http) {
  switch (http) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    default:
      return http < 500 ? "invalid_request_error" : "server_error";
  }
}

// The field a message begins with, as in "messages[0].role: expected ...".
JsonValue field_of(std::string_view message) {
  const std::string_view name = message.substr(0, message.find(": "));
  const auto is_path = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '[' || c == ']';
  };
  const bool plain = !name.empty() && name.size() < message.size() && std::all_of(name.begin(), name.end(), is_path);
  return plain ? JsonValue::string(std::string(name)) : JsonValue();
}

}  // namespace

JsonValue error_object(int http, std::string_view message, std::string_view code) {
  const auto text = [](std::string_view s) { return JsonValue::string(std::string(s)); };
  return JsonValue::object({{"error", JsonValue::object({{"message", text(message)},
                                                         {"type", text(error_type(http))},
                                                         {"param", http < 500 ? field_of(message) : JsonValue()},
                                                         {"code", code.empty() ? JsonValue() : text(code)}})}});
}

HttpReply error_reply(int http, std::string_view message, std::string_view code) {
  HttpReply reply{.status = http, .body = to_json(error_object(http, message, code)), .headers = {}};
  if (http == 429) reply.headers.emplace_back("Retry-After", "1");
  return reply;
}

JsonValue anthropic_error_object(int http, std::string_view message) {
  const std::string_view type = http == 413   ? "request_too_large"
                                : http == 503 ? "overloaded_error"
                                : http >= 500 ? "api_error"
                                              : error_type(http);
  const auto text = [](std::string_view s) { return JsonValue::string(std::string(s)); };
  return JsonValue::object(
      {{"type", text("error")}, {"error", JsonValue::object({{"type", text(type)}, {"message", text(message)}})}});
}

HttpReply anthropic_error(int http, std::string_view message, std::string_view code) {
  HttpReply reply = error_reply(http, message, code);
  reply.body = to_json(anthropic_error_object(http, message));
  return reply;
}

HttpReply ollama_error(int http, std::string_view message, std::string_view code) {
  HttpReply reply = error_reply(http, message, code);
  reply.body = to_json(JsonValue::object({{"error", JsonValue::string(std::string(message))}}));
  return reply;
}

int http_status(const Status& status) {
  switch (status.code()) {
    case ErrorCode::kUsage:
    case ErrorCode::kBadInput:
    case ErrorCode::kContextFull:
      return 400;
    case ErrorCode::kBusy:
      return 429;
    case ErrorCode::kNoSpace:
    case ErrorCode::kCancelled:  // the server is stopping
      return 503;
    default:
      return 500;
  }
}

std::string_view api_error_code(const Status& status) {
  if (status.code() == ErrorCode::kContextFull) return "context_length_exceeded";
  if (status.code() == ErrorCode::kBusy) return "queue_full";
  return "";
}

JsonValue error_object(const Status& status) {
  return error_object(http_status(status), status.message(), api_error_code(status));
}

HttpReply error_reply(const Status& status) {
  return refusal(error_reply, status);
}

HttpReply refusal(ErrorWords words, const Status& status) {
  return words(http_status(status), status.message(), api_error_code(status));
}

HttpReply reworded(HttpReply reply, ErrorWords words) {
  const auto body = parse_json(reply.body);
  const JsonValue* error = body.ok() ? body->find("error") : nullptr;
  const JsonValue* message = error != nullptr ? error->find("message") : nullptr;
  const JsonValue* code = error != nullptr ? error->find("code") : nullptr;
  if (message != nullptr && message->is_string()) {
    const bool has_code = code != nullptr && code->is_string();
    reply.body = words(reply.status, message->as_string(), has_code ? code->as_string() : "").body;
  }
  return reply;
}

}  // namespace bantam::server
