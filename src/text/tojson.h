// How Python shows JSON values: json.dumps(ensure_ascii=False), str(), repr() and truth, as chat templates see them.
// Called by the chat template renderers only. Pure functions; thread-safe.
//
// They recurse over the tree, whose depth parse_json bounds (kJsonMaxDepth). Integers of any size stay whole, "-0" is
// the integer 0; other numbers are the nearest double, printed as the shortest text that reads back the same.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace bantam::text {

// json.dumps(value, ensure_ascii=False): ", " and ": " between, insertion order, Infinity for what overflows.
void append_python_json(std::string* out, const JsonValue& value);
// str(value): a string as it is, None, True, numbers as repr, containers as repr.
void append_python_str(std::string* out, const JsonValue& value);
// bool(value): null, false, zero of any spelling and empty strings, arrays and objects are false.
bool python_truth(const JsonValue& value);

}  // namespace bantam::text
