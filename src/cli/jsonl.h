// JSONL in, JSONL out: one reply per request line, in order, flushed as it goes. A bad line gets
// {"error": {...}, "line": N} in its place (N counts from 1, as editors do) and the command fails at the end.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace bantam::cli {

inline constexpr size_t kMaxLineBytes = size_t{256} << 20;

// Reads lines of a file or of stdin ("-"). One at a time, so input of any length streams.
class LineReader {
 public:
  static Result<LineReader> open(const std::string& path);
  LineReader(LineReader&& other) noexcept;
  ~LineReader();
  // False at the end. The line comes without its newline (and carriage return).
  bool next(std::string* line);
  int64_t number() const { return number_; }  // of the last line, from 1

 private:
  LineReader() = default;
  std::FILE* file_ = nullptr;
  bool owned_ = false;
  char* buffer_ = nullptr;
  size_t capacity_ = 0;
  int64_t number_ = 0;
};

// {"code": ..., "message": ...}
JsonValue error_object(const Status& status);
// Prints the error reply of a line.
void print_line_error(const Status& status, int64_t line);
// Parses a line as one JSON object.
Result<JsonValue> parse_request(std::string_view line);

// The whole loop: handler gets the parsed object and returns the reply's JSON text.
Status run_jsonl(const std::string& path, const std::function<Result<std::string>(const JsonValue&)>& handler);

// Fields of a request; errors name the field.
Result<std::vector<int32_t>> ids_field(const JsonValue& request, std::string_view key);
Result<std::string> string_field(const JsonValue& request, std::string_view key);
Result<bool> bool_field(const JsonValue& request, std::string_view key, bool fallback);
std::string ids_json(std::span<const int32_t> ids);

// What follows --jsonl: a file, "-" or nothing. When a model's path landed there (`tokenize --jsonl MODEL`), it
// becomes the model and stdin is read.
void settle_jsonl_arguments(std::string* model, std::string* file);

}  // namespace bantam::cli
