// Python's spelling of JSON values. Sources: CPython Lib/json/encoder.py (ESCAPE_DCT), Objects/unicodeobject.c
// (unicode_repr), Python/pystrtod.c (format_float_short, mode 'r').
#include "text/tojson.h"

#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>

namespace bantam::text {
namespace {

// The decimal exponent of a number's first non-zero digit is positive: tells overflow from underflow, given that it is
// one of the two. REQUIRES: valid JSON number text.
bool is_huge(std::string_view number) {
  const size_t e = number.find_first_of("eE");
  const std::string_view mantissa = number.substr(0, e);
  const size_t first = mantissa.find_first_of("123456789");
  if (first == std::string_view::npos) return false;
  const size_t dot = std::min(mantissa.find('.'), mantissa.size());
  int64_t exponent = first < dot ? static_cast<int64_t>(dot - first) : -static_cast<int64_t>(first - dot);
  if (e != std::string_view::npos) {
    std::string_view digits = number.substr(e + 1);
    const bool negative = digits[0] == '-';
    if (digits[0] == '-' || digits[0] == '+') digits.remove_prefix(1);
    int64_t written = 0;
    constexpr int64_t kFarEnough = int64_t{1} << 60;  // beyond any text's length
    if (std::from_chars(digits.data(), digits.data() + digits.size(), written).ec != std::errc() ||
        written > kFarEnough) {
      written = kFarEnough;
    }
    exponent += negative ? -written : written;
  }
  return exponent > 0;
}

double to_double(std::string_view number) {
  double value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error != std::errc::result_out_of_range) return value;
  const double magnitude = is_huge(number) ? std::numeric_limits<double>::infinity() : 0.0;
  return number[0] == '-' ? -magnitude : magnitude;
}

// float.__repr__: shortest digits that read back the same; plain notation for exponents -4 .. 15.
void append_finite_float(std::string* out, double value) {
  char buffer[32];
  const auto written = std::to_chars(buffer, buffer + sizeof buffer, std::fabs(value), std::chars_format::scientific);
  const std::string_view shortest(buffer, static_cast<size_t>(written.ptr - buffer));
  const size_t e = shortest.find('e');
  std::string digits(1, shortest[0]);
  if (e > 2) digits += shortest.substr(2, e - 2);
  int exponent = 0;
  const size_t sign = shortest[e + 1] == '+' ? e + 2 : e + 1;  // from_chars takes '-' but not '+'
  std::from_chars(shortest.data() + sign, shortest.data() + shortest.size(), exponent);

  if (std::signbit(value)) out->push_back('-');
  if (exponent < -4 || exponent >= 16) {
    out->push_back(digits[0]);
    if (digits.size() > 1) out->append(".").append(digits, 1);
    fmt::format_to(std::back_inserter(*out), "e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  } else if (exponent < 0) {
    out->append("0.").append(static_cast<size_t>(-exponent - 1), '0').append(digits);
  } else {
    const size_t whole = static_cast<size_t>(exponent) + 1;
    if (digits.size() <= whole) {
      out->append(digits).append(whole - digits.size(), '0').append(".0");
    } else {
      out->append(digits, 0, whole).append(".").append(digits, whole);
    }
  }
}

void append_number(std::string* out, const JsonValue& value, std::string_view infinity) {
  const std::string& text = value.number_text();
  if (value.is_integer()) {
    out->append(text == "-0" ? "0" : text);
    return;
  }
  const double number = to_double(text);
  if (std::isinf(number)) {
    out->append(number < 0 ? "-" : "").append(infinity);
  } else {
    append_finite_float(out, number);
  }
}

void append_json_text(std::string* out, std::string_view text) {
  out->push_back('"');
  for (const char c : text) {
    switch (c) {
      case '"':
        out->append("\\\"");
        break;
      case '\\':
        out->append("\\\\");
        break;
      case '\b':
        out->append("\\b");
        break;
      case '\f':
        out->append("\\f");
        break;
      case '\n':
        out->append("\\n");
        break;
      case '\r':
        out->append("\\r");
        break;
      case '\t':
        out->append("\\t");
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          fmt::format_to(std::back_inserter(*out), "\\u{:04x}", static_cast<unsigned>(c));
        } else {
          out->push_back(c);
        }
    }
  }
  out->push_back('"');
}

// str.isprintable() for one code point: everything but controls, format characters, surrogates, private use,
// unassigned and separators other than the space. Which code points are assigned depends on the Unicode version, in
// Python as here.
bool is_printable(utf8proc_int32_t c) {
  if (c == ' ') return true;
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    default:
      return true;
  }
}

void append_repr_text(std::string* out, std::string_view text) {
  const char quote = text.find('\'') != text.npos && text.find('"') == text.npos ? '"' : '\'';
  out->push_back(quote);
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (size_t i = 0; i < text.size();) {
    utf8proc_int32_t c = 0;
    const utf8proc_ssize_t n = utf8proc_iterate(bytes + i, static_cast<utf8proc_ssize_t>(text.size() - i), &c);
    const size_t length = n > 0 ? static_cast<size_t>(n) : 1;
    if (n <= 0) c = bytes[i];  // not UTF-8: never from parse_json; shown as its byte
    const auto code = static_cast<uint32_t>(c);
    if (c == quote || c == '\\') {
      out->push_back('\\');
      out->push_back(static_cast<char>(c));
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out->append(c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
    } else if (n > 0 && is_printable(c)) {
      out->append(text.substr(i, length));
    } else if (code < 0x100) {
      fmt::format_to(std::back_inserter(*out), "\\x{:02x}", code);
    } else if (code < 0x10000) {
      fmt::format_to(std::back_inserter(*out), "\\u{:04x}", code);
    } else {
      fmt::format_to(std::back_inserter(*out), "\\U{:08x}", code);
    }
    i += length;
  }
  out->push_back(quote);
}

// What differs between json.dumps and repr; the walk is the same.
struct Spelling {
  std::string_view null, yes, no, infinity;
  void (*text)(std::string*, std::string_view);
};
constexpr Spelling kJson = {"null", "true", "false", "Infinity", append_json_text};
constexpr Spelling kRepr = {"None", "True", "False", "inf", append_repr_text};

void append_value(std::string* out, const JsonValue& value, const Spelling& spelling) {
  std::string_view separator;
  switch (value.kind()) {
    case JsonValue::Kind::kNull:
      out->append(spelling.null);
      return;
    case JsonValue::Kind::kBool:
      out->append(value.as_bool() ? spelling.yes : spelling.no);
      return;
    case JsonValue::Kind::kNumber:
      append_number(out, value, spelling.infinity);
      return;
    case JsonValue::Kind::kString:
      spelling.text(out, value.as_string());
      return;
    case JsonValue::Kind::kArray:
      out->push_back('[');
      for (const JsonValue& item : value.items()) {
        out->append(separator);
        append_value(out, item, spelling);
        separator = ", ";
      }
      out->push_back(']');
      return;
    case JsonValue::Kind::kObject:
      out->push_back('{');
      for (const auto& [key, item] : value.members()) {
        out->append(separator);
        spelling.text(out, key);
        out->append(": ");
        append_value(out, item, spelling);
        separator = ", ";
      }
      out->push_back('}');
      return;
  }
}

}  // namespace

void append_python_json(std::string* out, const JsonValue& value) {
  append_value(out, value, kJson);
}

void append_python_str(std::string* out, const JsonValue& value) {
  if (value.is_string()) {
    out->append(value.as_string());
  } else {
    append_value(out, value, kRepr);
  }
}

bool python_truth(const JsonValue& value) {
  switch (value.kind()) {
    case JsonValue::Kind::kNull:
      return false;
    case JsonValue::Kind::kBool:
      return value.as_bool();
    case JsonValue::Kind::kNumber:
      return to_double(value.number_text()) != 0.0;
    case JsonValue::Kind::kString:
      return !value.as_string().empty();
    case JsonValue::Kind::kArray:
      return !value.items().empty();
    case JsonValue::Kind::kObject:
      return !value.members().empty();
  }
  return false;
}

}  // namespace bantam::text
