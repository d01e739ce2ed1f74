// Ordered JSON tree on simdjson's On-Demand reader. Recursion is bounded by kJsonMaxDepth.
#include "base/json.h"

#include <simdjson.h>

#include <charconv>
#include <cmath>
#include <unordered_map>

#include "base/utf8.h"

namespace bantam {
namespace {

namespace od = simdjson::ondemand;

Status json_error(std::string_view what, simdjson::error_code code) {
  return bad_input("{}: not valid JSON: {}", what, simdjson::error_message(code));
}

// Of the document being read.
struct Reading {
  std::string_view what;
  int64_t max_values = 0, values = 0;
};

Status build(od::value value, int depth, Reading& reading, JsonValue* out);

Status build_string(od::value value, std::string_view what, JsonValue* out) {
  std::string_view text;
  if (auto error = value.get_string().get(text)) return json_error(what, error);
  *out = JsonValue::string(std::string(text));
  return {};
}

Status build_array(od::value value, int depth, Reading& reading, JsonValue* out) {
  od::array array;
  if (auto error = value.get_array().get(array)) return json_error(reading.what, error);
  *out = JsonValue::array();
  for (auto item : array) {
    od::value child;
    if (auto error = item.get(child)) return json_error(reading.what, error);
    out->items().emplace_back();
    BANTAM_TRY(build(child, depth + 1, reading, &out->items().back()));
  }
  return {};
}

Status build_object(od::value value, int depth, Reading& reading, JsonValue* out) {
  od::object object;
  if (auto error = value.get_object().get(object)) return json_error(reading.what, error);
  *out = JsonValue::object();
  auto& members = out->members();
  std::unordered_map<std::string, size_t> seen;  // filled only once an object is large: 150k-key vocabularies exist
  for (auto field : object) {
    std::string_view key;
    if (auto error = field.unescaped_key().get(key)) return json_error(reading.what, error);
    od::value child;
    if (auto error = field.value().get(child)) return json_error(reading.what, error);
    std::string name(key);
    JsonValue parsed;
    BANTAM_TRY(build(child, depth + 1, reading, &parsed));
    constexpr size_t kLinearLimit = 16;
    size_t at = members.size();
    if (members.size() <= kLinearLimit) {
      for (size_t i = 0; i < members.size(); ++i) {
        if (members[i].first == name) at = i;
      }
    } else {
      if (seen.empty()) {
        for (size_t i = 0; i < members.size(); ++i) seen.emplace(members[i].first, i);
      }
      at = seen.emplace(name, members.size()).first->second;
    }
    if (at < members.size()) {
      members[at].second = std::move(parsed);
    } else {
      members.emplace_back(std::move(name), std::move(parsed));
    }
  }
  return {};
}

// True when text is one number by JSON's grammar (simdjson checks numbers only when asked to convert them, and
// conversion would refuse integers beyond 64 bits, which Python keeps).
bool is_json_number(std::string_view s) {
  size_t i = 0;
  auto digits = [&] {
    const size_t start = i;
    while (i < s.size() && s[i] >= '0' && s[i] <= '9') ++i;
    return i > start;
  };
  if (i < s.size() && s[i] == '-') ++i;
  if (i < s.size() && s[i] == '0') {
    ++i;
  } else if (!digits()) {
    return false;
  }
  if (i < s.size() && s[i] == '.') {
    ++i;
    if (!digits()) return false;
  }
  if (i < s.size() && (s[i] == 'e' || s[i] == 'E')) {
    ++i;
    if (i < s.size() && (s[i] == '+' || s[i] == '-')) ++i;
    if (!digits()) return false;
  }
  return i == s.size();
}

std::string_view trim_right(std::string_view s) {
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t' || s.back() == '\n' || s.back() == '\r'))
    s.remove_suffix(1);
  return s;
}

Status build_scalar(std::string_view raw, std::string_view what, JsonValue* out) {
  const std::string_view token = trim_right(raw);
  if (token == "true" || token == "false") {
    *out = JsonValue::boolean(token == "true");
  } else if (token == "null") {
    *out = JsonValue();
  } else if (is_json_number(token)) {
    *out = JsonValue::number(std::string(token));
  } else {
    return bad_input("{}: not valid JSON: unexpected token {:?}", what, std::string(token.substr(0, 40)));
  }
  return {};
}

Status build(od::value value, int depth, Reading& reading, JsonValue* out) {
  const std::string_view what = reading.what;
  if (++reading.values > reading.max_values) {
    return bad_input("{}: expected at most {} JSON values", what, reading.max_values);
  }
  if (depth > kJsonMaxDepth) return bad_input("{}: JSON nested deeper than {} levels", what, kJsonMaxDepth);
  od::json_type type;
  if (auto error = value.type().get(type)) return json_error(what, error);
  switch (type) {
    case od::json_type::array:
      return build_array(value, depth, reading, out);
    case od::json_type::object:
      return build_object(value, depth, reading, out);
    case od::json_type::string:
      return build_string(value, what, out);
    default:
      return build_scalar(value.raw_json_token(), what, out);
  }
}

Status build_root_scalar(od::document& document, od::json_type type, std::string_view what, JsonValue* out) {
  if (type == od::json_type::string) {
    std::string_view text;
    if (auto error = document.get_string().get(text)) return json_error(what, error);
    *out = JsonValue::string(std::string(text));
    return {};
  }
  std::string_view raw;
  if (auto error = document.raw_json_token().get(raw)) return json_error(what, error);
  return build_scalar(raw, what, out);
}

void write(const JsonValue& value, int indent, int depth, std::string* out) {
  auto newline = [&](int level) {
    if (indent > 0) {
      out->push_back('\n');
      out->append(static_cast<size_t>(indent) * static_cast<size_t>(level), ' ');
    }
  };
  switch (value.kind()) {
    case JsonValue::Kind::kNull:
      out->append("null");
      return;
    case JsonValue::Kind::kBool:
      out->append(value.as_bool() ? "true" : "false");
      return;
    case JsonValue::Kind::kNumber:
      out->append(value.number_text());
      return;
    case JsonValue::Kind::kString:
      append_json_string(out, value.as_string());
      return;
    case JsonValue::Kind::kArray: {
      out->push_back('[');
      for (size_t i = 0; i < value.items().size(); ++i) {
        if (i > 0) out->push_back(',');
        newline(depth + 1);
        write(value.items()[i], indent, depth + 1, out);
      }
      if (!value.items().empty()) newline(depth);
      out->push_back(']');
      return;
    }
    case JsonValue::Kind::kObject: {
      out->push_back('{');
      for (size_t i = 0; i < value.members().size(); ++i) {
        if (i > 0) out->push_back(',');
        newline(depth + 1);
        append_json_string(out, value.members()[i].first);
        out->append(indent > 0 ? ": " : ":");
        write(value.members()[i].second, indent, depth + 1, out);
      }
      if (!value.members().empty()) newline(depth);
      out->push_back('}');
      return;
    }
  }
}

}  // namespace

JsonValue JsonValue::boolean(bool b) {
  JsonValue v;
  v.kind_ = Kind::kBool;
  v.flag_ = b;
  return v;
}
JsonValue JsonValue::number(std::string raw_text) {
  JsonValue v;
  v.kind_ = Kind::kNumber;
  v.text_ = std::move(raw_text);
  return v;
}
JsonValue JsonValue::number(int64_t value) {
  return number(fmt::format("{}", value));
}
JsonValue JsonValue::string(std::string text) {
  JsonValue v;
  v.kind_ = Kind::kString;
  v.text_ = std::move(text);
  return v;
}
JsonValue JsonValue::array(std::vector<JsonValue> items) {
  JsonValue v;
  v.kind_ = Kind::kArray;
  v.items_ = std::move(items);
  return v;
}
JsonValue JsonValue::object(std::vector<Member> members) {
  JsonValue v;
  v.kind_ = Kind::kObject;
  v.members_ = std::move(members);
  return v;
}

std::string_view JsonValue::kind_name() const {
  constexpr std::string_view kNames[] = {"null", "bool", "number", "string", "array", "object"};
  return kNames[static_cast<size_t>(kind_)];
}

bool JsonValue::is_integer() const {
  return is_number() && text_.find_first_of(".eE") == std::string::npos;
}

Result<int64_t> JsonValue::as_int64() const {
  int64_t value = 0;
  if (!is_integer()) return bad_input("expected an integer, got {} {}", kind_name(), text_);
  const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
  if (error != std::errc() || end != text_.data() + text_.size()) return bad_input("integer {} is out of range", text_);
  return value;
}

Result<double> JsonValue::as_double() const {
  double value = 0;
  if (!is_number()) return bad_input("expected a number, got {}", kind_name());
  const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
  if (error != std::errc() || end != text_.data() + text_.size()) return bad_input("number {} is out of range", text_);
  return value;
}

const JsonValue* JsonValue::find(std::string_view key) const {
  for (const Member& m : members_) {
    if (m.first == key) return &m.second;
  }
  return nullptr;
}

void JsonValue::set(std::string_view key, JsonValue value) {
  for (Member& m : members_) {
    if (m.first == key) {
      m.second = std::move(value);
      return;
    }
  }
  members_.emplace_back(std::string(key), std::move(value));
}

Result<JsonValue> parse_json(std::string_view text, std::string_view what, int64_t max_values) {
  od::parser parser;
  const simdjson::padded_string padded(text);
  od::document document;
  if (auto error = parser.iterate(padded).get(document)) return json_error(what, error);
  od::json_type type;
  if (auto error = document.type().get(type)) return json_error(what, error);
  JsonValue out;
  if (type == od::json_type::array || type == od::json_type::object) {
    od::value root;
    if (auto error = document.get_value().get(root)) return json_error(what, error);
    Reading reading{what, max_values};
    BANTAM_TRY(build(root, 1, reading, &out));
    if (const char* at = nullptr; !document.current_location().get(at))
      return bad_input("{}: not valid JSON: text after the document's end", what);
  } else {
    BANTAM_TRY(build_root_scalar(document, type, what, &out));
  }
  return out;
}

void append_json_string(std::string* out, std::string_view text) {
  out->push_back('"');
  for (size_t i = 0; i < text.size();) {
    const size_t n = utf8_length(text, i);
    if (n == 0) {
      out->append("\xEF\xBF\xBD");
      ++i;
      continue;
    }
    const char c = text[i];
    if (n > 1) {
      out->append(text.substr(i, n));
    } else if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(c);
    } else if (c == '\n') {
      out->append("\\n");
    } else if (c == '\r') {
      out->append("\\r");
    } else if (c == '\t') {
      out->append("\\t");
    } else if (static_cast<unsigned char>(c) < 0x20) {
      fmt::format_to(std::back_inserter(*out), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out->push_back(c);
    }
    i += n;
  }
  out->push_back('"');
}

std::string to_json(const JsonValue& value) {
  std::string out;
  write(value, 0, 0, &out);
  return out;
}

std::string to_pretty_json(const JsonValue& value) {
  std::string out;
  write(value, 2, 0, &out);
  return out;
}

std::string json_number(double value) {
  if (!std::isfinite(value)) return "null";
  if (value == std::floor(value) && std::fabs(value) < 1e15) return fmt::format("{:.0f}", value);
  return fmt::format("{}", value);
}

}  // namespace bantam
