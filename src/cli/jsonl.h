// JSONL in, JSONL out: one reply per request line, in order, flushed as it goes. A bad line gets
// {"error": {...}, "line": N} in its place (N counts from 1, as editors do) and the command fails at the end.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cli/line_reader.h"

namespace bantam::cli {

// {"code": ..., "message": ...}
JsonValue error_object(const Status& status);
// Prints the error reply of a line.
void print_line_error(const Status& status, int64_t line);
// Parses a line as one JSON object.
Result<JsonValue> parse_request(std::string_view line);

// How a command over lines ends: interrupted, failed when lines were bad, else fine.
Status lines_status(int64_t bad, int64_t lines);

// The whole loop: handler gets the parsed object and returns the reply's JSON text.
Status run_jsonl(const std::string& path, const std::function<Result<std::string>(const JsonValue&)>& handler);

// Fields of a request; errors name the field.
Result<std::vector<int32_t>> ids_field(const JsonValue& request, std::string_view key);
Result<std::string> string_field(const JsonValue& request, std::string_view key);
Result<bool> bool_field(const JsonValue& request, std::string_view key, bool fallback);
// Fails, naming the first, unless every id is a row of a model with `rows` of them.
Status check_ids(std::span<const int32_t> ids, int64_t rows);
std::string ids_json(std::span<const int32_t> ids);

// Messages of a conversation: the system text unless it is empty, and one user turn.
JsonValue single_turn(const std::string& system, const std::string& user);

// What follows --jsonl: a file, "-" or nothing. When a model's path landed there (`tokenize --jsonl MODEL`), it
// becomes the model and stdin is read.
void settle_jsonl_arguments(std::string* model, std::string* file);

}  // namespace bantam::cli
