// The fields of one JSON object of a request, read one by one with their ranges; what nobody read can be listed. Errors
// (kBadInput) name the field, what was expected and what came. Used by every API's parser; not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace bantam::server {

class Fields {
 public:
  // `where` goes before the names in messages, e.g. "thinking.".
  explicit Fields(const JsonValue& body, std::string where = "") : body_(body), where_(std::move(where)) {}

  const JsonValue* find(std::string_view key) {
    read_.push_back(key);
    const JsonValue* value = body_.find(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  template <class T>
  Status number(std::string_view key, double low, double high, std::optional<T>* out) {
    const JsonValue* value = find(key);
    if (value == nullptr) return {};
    auto parsed = value->as_double();
    if (!parsed.ok()) return bad_input("{}{}: expected a number, got {}", where_, key, value->kind_name());
    if (!(*parsed >= low && *parsed <= high)) {
      return bad_input("{}{}: expected a number from {} to {}, got {}", where_, key, low, high, *parsed);
    }
    *out = static_cast<T>(*parsed);
    return {};
  }
  template <class T>
  Status integer(std::string_view key, int64_t low, int64_t high, std::optional<T>* out) {
    const JsonValue* value = find(key);
    if (value == nullptr) return {};
    auto parsed = value->as_int64();
    if (!parsed.ok()) return bad_input("{}{}: expected a whole number, got {}", where_, key, value->kind_name());
    if (*parsed < low || *parsed > high) {
      return bad_input("{}{}: expected a whole number from {} to {}, got {}", where_, key, low, high, *parsed);
    }
    *out = static_cast<T>(*parsed);
    return {};
  }
  Status boolean(std::string_view key, std::optional<bool>* out) {
    const JsonValue* value = find(key);
    if (value == nullptr) return {};
    if (!value->is_bool()) return bad_input("{}{}: expected true or false, got {}", where_, key, value->kind_name());
    *out = value->as_bool();
    return {};
  }
  Status string(std::string_view key, std::string* out) {
    const JsonValue* value = find(key);
    if (value == nullptr) return {};
    if (!value->is_string()) return bad_input("{}{}: expected a string, got {}", where_, key, value->kind_name());
    *out = value->as_string();
    return {};
  }
  // Fields that say nothing about the answer.
  void ignore(std::initializer_list<std::string_view> keys) { read_.insert(read_.end(), keys.begin(), keys.end()); }
  std::vector<std::string> unread() const {
    std::vector<std::string> out;
    for (const auto& [key, value] : body_.members()) {
      if (std::find(read_.begin(), read_.end(), key) == read_.end()) out.push_back(key);
    }
    return out;
  }

 private:
  const JsonValue& body_;
  std::string where_;
  std::vector<std::string_view> read_;
};

// An array of token ids; `name` for messages.
Status parse_ids(const JsonValue& array, std::string_view name, std::vector<int32_t>* out);

}  // namespace bantam::server
