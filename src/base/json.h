// JSON for the whole program: an ordered tree read by simdjson, and a writer.
// Keeps what the reference's Python keeps: key order, the raw text of every number, and the last of duplicate keys
// (at the first one's place). Depth is capped, so no input can exhaust the stack. Values are plain data;
// thread-safe as such.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace bantam {

class JsonValue {
 public:
  enum class Kind : uint8_t { kNull, kBool, kNumber, kString, kArray, kObject };
  using Member = std::pair<std::string, JsonValue>;

  JsonValue() = default;
  static JsonValue boolean(bool b);
  static JsonValue number(std::string raw_text);  // REQUIRES: valid JSON number text
  static JsonValue number(int64_t value);
  static JsonValue string(std::string text);
  static JsonValue array(std::vector<JsonValue> items = {});
  static JsonValue object(std::vector<Member> members = {});

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::kNull; }
  bool is_bool() const { return kind_ == Kind::kBool; }
  bool is_number() const { return kind_ == Kind::kNumber; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_array() const { return kind_ == Kind::kArray; }
  bool is_object() const { return kind_ == Kind::kObject; }
  std::string_view kind_name() const;

  bool as_bool() const { return flag_; }                          // REQUIRES: is_bool()
  const std::string& as_string() const { return text_; }          // REQUIRES: is_string()
  const std::string& number_text() const { return text_; }        // REQUIRES: is_number(); exactly as written
  bool is_integer() const;                                        // a number without '.', 'e', 'E'
  Result<int64_t> as_int64() const;                               // integers only; error when out of range
  Result<double> as_double() const;                               // any number
  const std::vector<JsonValue>& items() const { return items_; }  // REQUIRES: is_array()
  std::vector<JsonValue>& items() { return items_; }
  const std::vector<Member>& members() const { return members_; }  // REQUIRES: is_object()
  std::vector<Member>& members() { return members_; }
  // The member of that name, or nullptr (also when this is not an object).
  const JsonValue* find(std::string_view key) const;
  void set(std::string_view key, JsonValue value);  // REQUIRES: is_object(); replaces in place or appends

 private:
  Kind kind_ = Kind::kNull;
  bool flag_ = false;
  std::string text_;
  std::vector<JsonValue> items_;
  std::vector<Member> members_;
};

inline constexpr int kJsonMaxDepth = 128;

// Parses one whole document (trailing whitespace allowed). Errors name what is wrong and, where simdjson says so,
// the byte. `what` prefixes messages, e.g. "config.json". max_values: most values in all, keys aside (a short one takes
// some 50 times its text in memory).
Result<JsonValue> parse_json(std::string_view text, std::string_view what = "json",
                             int64_t max_values = std::numeric_limits<int64_t>::max());

// Appends `text` quoted and escaped (only what JSON demands: quote, backslash, controls). Invalid UTF-8 bytes are
// written as U+FFFD so that the output is always valid JSON.
void append_json_string(std::string* out, std::string_view text);
// Compact form, as `separators=(",", ":")`; numbers as their raw text.
std::string to_json(const JsonValue& value);
// Two-space indented form for people.
std::string to_pretty_json(const JsonValue& value);
// Shortest text that reads back as the same double; integers get no exponent; NaN and infinities become null.
std::string json_number(double value);

}  // namespace bantam
