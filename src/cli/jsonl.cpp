// See jsonl.h.
#include "cli/jsonl.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>

#include "base/mmap.h"
#include "cli/interrupt.h"

namespace bantam::cli {

JsonValue error_object(const Status& status) {
  constexpr std::string_view kCodes[] = {"failed",       "usage",     "bad_input", "no_space",
                                         "context_full", "cancelled", "busy"};
  JsonValue error = JsonValue::object();
  error.set("code", JsonValue::string(std::string(kCodes[static_cast<size_t>(status.code())])));
  error.set("message", JsonValue::string(std::string(status.message())));
  return error;
}

void print_line_error(const Status& status, int64_t line) {
  fmt::print("{{\"error\":{},\"line\":{}}}\n", to_json(error_object(status)), line);
  std::fflush(stdout);
}

Result<JsonValue> parse_request(std::string_view line) {
  if (line.size() >= kMaxLineBytes) return bad_input("expected a line shorter than {} bytes", kMaxLineBytes);
  if (line.find_first_not_of(" \t") == std::string_view::npos)
    return bad_input("expected a JSON object, got an empty line");
  BANTAM_TRY_ASSIGN(JsonValue request, parse_json(line, "request"));
  if (!request.is_object()) return bad_input("expected a JSON object, got {}", request.kind_name());
  return request;
}

Status run_jsonl(const std::string& path, const std::function<Result<std::string>(const JsonValue&)>& handler) {
  BANTAM_TRY_ASSIGN(LineReader reader, LineReader::open(path));
  std::string line;
  int64_t bad = 0;
  while (reader.next(&line)) {
    if (interrupted()) break;
    auto request = parse_request(line);
    auto reply = request.ok() ? handler(*request) : Result<std::string>(std::move(request).status());
    if (reply.ok()) {
      fmt::print("{}\n", *reply);
      if (std::fflush(stdout) != 0) return failed("cannot write to stdout: {}", std::strerror(errno));
    } else {
      if (reply.status().code() == ErrorCode::kCancelled) return std::move(reply).status();
      ++bad;
      print_line_error(reply.status(), reader.number());
    }
  }
  return lines_status(bad, reader.number());
}

Status lines_status(int64_t bad, int64_t lines) {
  if (interrupted()) return interrupted_status();
  return bad == 0 ? Status() : failed("{} of {} lines failed", bad, lines);
}

Result<std::vector<int32_t>> ids_field(const JsonValue& request, std::string_view key) {
  const JsonValue* value = request.find(key);
  if (value == nullptr) return bad_input("expected a field {:?}", key);
  if (!value->is_array()) return bad_input("{}: expected an array of token ids, got {}", key, value->kind_name());
  std::vector<int32_t> ids;
  ids.reserve(value->items().size());
  for (const JsonValue& item : value->items()) {
    auto id = item.as_int64();
    if (!id.ok()) return std::move(id).status().with_context(fmt::format("{}[{}]", key, ids.size()));
    if (*id < 0 || *id > std::numeric_limits<int32_t>::max()) {
      return bad_input("{}[{}]: expected a token id, got {}", key, ids.size(), *id);
    }
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

Result<std::string> string_field(const JsonValue& request, std::string_view key) {
  const JsonValue* value = request.find(key);
  if (value == nullptr) return bad_input("expected a field {:?}", key);
  if (!value->is_string()) return bad_input("{}: expected a string, got {}", key, value->kind_name());
  return value->as_string();
}

Result<bool> bool_field(const JsonValue& request, std::string_view key, bool fallback) {
  const JsonValue* value = request.find(key);
  if (value == nullptr || value->is_null()) return fallback;
  if (!value->is_bool()) return bad_input("{}: expected true or false, got {}", key, value->kind_name());
  return value->as_bool();
}

Status check_ids(std::span<const int32_t> ids, int64_t rows) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= rows) return bad_input("ids[{}]: expected an id below {}, got {}", i, rows, ids[i]);
  }
  return {};
}

std::string ids_json(std::span<const int32_t> ids) {
  return fmt::format("[{}]", fmt::join(ids, ","));
}

JsonValue single_turn(const std::string& system, const std::string& user) {
  JsonValue messages = JsonValue::array();
  const auto add = [&](const char* role, const std::string& content) {
    messages.items().push_back(
        JsonValue::object({{"role", JsonValue::string(role)}, {"content", JsonValue::string(content)}}));
  };
  if (!system.empty()) add("system", system);
  add("user", user);
  return messages;
}

void settle_jsonl_arguments(std::string* model, std::string* file) {
  const bool is_model = is_directory(*file) || file->ends_with(".gguf");
  if (model->empty() && is_model) std::swap(*model, *file);
  if (file->empty()) *file = "-";
}

}  // namespace bantam::cli
