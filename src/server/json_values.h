// Short names for the JSON values that answers are made of. Pure; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace bantam::server {

inline JsonValue text_value(std::string_view text) {
  return JsonValue::string(std::string(text));
}
inline JsonValue count_value(int64_t value) {
  return JsonValue::number(value);
}
inline JsonValue real_value(double value) {
  return JsonValue::number(json_number(value));
}
inline JsonValue list_value(std::vector<JsonValue> items = {}) {
  return JsonValue::array(std::move(items));
}

// The member `key` where it is a string, else "".
inline std::string string_at(const JsonValue& object, std::string_view key) {
  const JsonValue* value = object.find(key);
  return value != nullptr && value->is_string() ? value->as_string() : "";
}

}  // namespace bantam::server
