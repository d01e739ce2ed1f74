// Typed access to members of a simdjson object with this room's kind of errors; for the readers of large JSON files
// (tokenizer.json, vocab.json), where the house's own JSON tree would cost a string per token. Views live as long as
// the parser. Stateless.
#pragma once

#include <simdjson.h>

#include <string_view>

#include "base/result.h"

namespace bantam::text {

using JsonElement = simdjson::dom::element;
using JsonObject = simdjson::dom::object;
using JsonArray = simdjson::dom::array;

// What an element is, for messages.
std::string_view kind_name(const JsonElement& element);

// Parses `text` (copied into the parser). The top must be an object.
Result<JsonObject> parse_object(simdjson::dom::parser* parser, std::string_view text, std::string_view what);

// True when `object` has `key` with a value other than null.
bool has_member(const JsonObject& object, std::string_view key, JsonElement* value);

// The member, of that type; `where` names the object in messages.
Result<JsonObject> object_member(const JsonObject& object, std::string_view key, std::string_view where);
Result<JsonArray> array_member(const JsonObject& object, std::string_view key, std::string_view where);
Result<std::string_view> string_member(const JsonObject& object, std::string_view key, std::string_view where);
// A flag, false when absent or null.
Result<bool> flag_member(const JsonObject& object, std::string_view key, std::string_view where);

// Errors unless the member is absent, null, or false / "" / 0 ("off", in whatever way files say so).
Status expect_off(const JsonObject& object, std::string_view key, std::string_view where);
// Errors unless the member is the string `wanted`.
Status expect_string(const JsonObject& object, std::string_view key, std::string_view wanted, std::string_view where);
// Errors unless the flag, false when absent, is `wanted`.
Status expect_flag(const JsonObject& object, std::string_view key, bool wanted, std::string_view where);

}  // namespace bantam::text
