// Implements text/simdjson_fields.h.
#include "text/simdjson_fields.h"

namespace bantam::text {
namespace {

// The member as T; `expected` is T's name in messages.
template <class T>
Result<T> typed_member(const JsonObject& object, std::string_view key, std::string_view where,
                       std::string_view expected) {
  JsonElement element;
  if (object[key].get(element) != simdjson::SUCCESS) {
    return bad_input("{}: expected {} named {}, got none", where, expected, key);
  }
  T value;
  if (element.get(value) != simdjson::SUCCESS) {
    return bad_input("{}: {}: expected {}, got {}", where, key, expected, kind_name(element));
  }
  return value;
}

}  // namespace

std::string_view kind_name(const JsonElement& element) {
  switch (element.type()) {
    case simdjson::dom::element_type::ARRAY:
      return "an array";
    case simdjson::dom::element_type::OBJECT:
      return "an object";
    case simdjson::dom::element_type::STRING:
      return "a string";
    case simdjson::dom::element_type::BOOL:
      return "a flag";
    case simdjson::dom::element_type::NULL_VALUE:
      return "null";
    default:
      return "a number";
  }
}

Result<JsonObject> parse_object(simdjson::dom::parser* parser, std::string_view text, std::string_view what) {
  JsonElement top;
  if (const auto error = parser->parse(text.data(), text.size(), true).get(top); error != simdjson::SUCCESS) {
    return bad_input("{}: not valid JSON: {}", what, simdjson::error_message(error));
  }
  JsonObject object;
  if (top.get(object) != simdjson::SUCCESS) return bad_input("{}: expected an object, got {}", what, kind_name(top));
  return object;
}

bool has_member(const JsonObject& object, std::string_view key, JsonElement* value) {
  return object[key].get(*value) == simdjson::SUCCESS && !value->is_null();
}

Result<JsonObject> object_member(const JsonObject& object, std::string_view key, std::string_view where) {
  return typed_member<JsonObject>(object, key, where, "an object");
}
Result<JsonArray> array_member(const JsonObject& object, std::string_view key, std::string_view where) {
  return typed_member<JsonArray>(object, key, where, "an array");
}
Result<std::string_view> string_member(const JsonObject& object, std::string_view key, std::string_view where) {
  return typed_member<std::string_view>(object, key, where, "a string");
}
Result<bool> flag_member(const JsonObject& object, std::string_view key, std::string_view where) {
  JsonElement element;
  if (!has_member(object, key, &element)) return false;
  return typed_member<bool>(object, key, where, "a flag");
}

Status expect_off(const JsonObject& object, std::string_view key, std::string_view where) {
  JsonElement element;
  if (!has_member(object, key, &element)) return {};
  bool flag;
  std::string_view text;
  double number;
  const bool off = (element.get(flag) == simdjson::SUCCESS && !flag) ||
                   (element.get(text) == simdjson::SUCCESS && text.empty()) ||
                   (element.get(number) == simdjson::SUCCESS && number == 0);
  if (off) return {};
  return bad_input("{}: {}: expected it to be off, as in every Qwen tokenizer, got {}", where, key,
                   simdjson::minify(element));
}

Status expect_string(const JsonObject& object, std::string_view key, std::string_view wanted, std::string_view where) {
  BANTAM_TRY_ASSIGN(const std::string_view got, string_member(object, key, where));
  if (got == wanted) return {};
  return bad_input("{}: {}: expected \"{}\", got \"{}\"", where, key, wanted, got.substr(0, 200));
}

Status expect_flag(const JsonObject& object, std::string_view key, bool wanted, std::string_view where) {
  BANTAM_TRY_ASSIGN(const bool got, flag_member(object, key, where));
  if (got == wanted) return {};
  return bad_input("{}: {}: expected {}, got {}", where, key, wanted, got);
}

}  // namespace bantam::text
