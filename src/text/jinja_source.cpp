// Canonical spelling of Jinja source. Source: jinja2/lexer.py (delimiters, white-space control, operators).
#include "text/jinja_source.h"

#include <algorithm>
#include <array>

namespace bantam::text {
namespace {

constexpr std::string_view kSpace = " \t\n\r\f\v";

bool is_word(char c) {
  const auto u = static_cast<unsigned char>(c);
  return (u >= '0' && u <= '9') || (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || u == '_' || u >= 0x80;
}

// One line ending for all, and not one at the very end: what Jinja does before anything else.
std::string with_plain_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out.push_back(source[i]);
    } else {
      out.push_back('\n');
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Canonicaliser {
 public:
  explicit Canonicaliser(std::string_view source) : source_(source) {}

  std::optional<std::string> run() {
    while (at_ < source_.size()) {
      const size_t open = next_tag();
      take_text(open);
      if (open == source_.size()) break;
      if (!take_tag()) return std::nullopt;
    }
    flush_text();
    return std::move(out_);
  }

 private:
  // Where the next {{, {% or {# starts, or the source's end.
  size_t next_tag() const {
    for (size_t i = source_.find('{', at_); i != source_.npos; i = source_.find('{', i + 1)) {
      if (i + 1 < source_.size() && (source_[i + 1] == '{' || source_[i + 1] == '%' || source_[i + 1] == '#')) return i;
    }
    return source_.size();
  }

  // Output text up to `end`, with the white space removed that the tags on both sides eat.
  void take_text(size_t end) {
    std::string_view text = source_.substr(at_, end - at_);
    if (eat_after_ == Eat::all) {
      text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
    } else if (eat_after_ == Eat::newline && text.starts_with('\n')) {
      text.remove_prefix(1);
    }
    if (end < source_.size()) {
      const char sign = end + 2 < source_.size() ? source_[end + 2] : '\0';
      if (sign == '-') {
        text = text.substr(0, text.find_last_not_of(kSpace) + 1);
      } else if (source_[end + 1] != '{' && sign != '+') {
        const size_t line = text.find_last_of('\n') + 1;  // npos + 1 is 0
        const size_t begin = end - text.size();
        const bool from_line_start = line > 0 || begin == 0 || source_[begin - 1] == '\n';
        if (from_line_start && text.find_first_not_of(kSpace, line) == text.npos) text = text.substr(0, line);
      }
    }
    text_ += text;
    at_ = end;
  }

  // The tag at at_: comment dropped, others as tokens. False when it never closes.
  bool take_tag() {
    const char kind = source_[at_ + 1];
    at_ += 2;
    if (kind == '#') return take_comment();
    if (at_ < source_.size() && (source_[at_] == '-' || source_[at_] == '+')) ++at_;
    std::string tokens;
    const std::string_view close = kind == '{' ? "}}" : "%}";
    int depth = 0;  // of {...} literals, whose closing braces are not the tag's
    while (true) {
      at_ = std::min(source_.find_first_not_of(kSpace, at_), source_.size());
      const std::string_view rest = source_.substr(at_);
      if (rest.empty()) return false;
      const bool signed_close = (rest[0] == '-' || rest[0] == '+') && rest.substr(1).starts_with(close);
      if ((depth == 0 && rest.starts_with(close)) || signed_close) {
        eat_after_ = signed_close && rest[0] == '-' ? Eat::all
                     : signed_close || kind == '{'  ? Eat::nothing
                                                    : Eat::newline;
        at_ += close.size() + (signed_close ? 1 : 0);
        break;
      }
      if (rest[0] == '{') ++depth;
      if (rest[0] == '}' && depth > 0) --depth;
      tokens.push_back(' ');
      if (!take_token(&tokens)) return false;
    }
    if (kind == '%' && (tokens == " generation" || tokens == " endgeneration")) return true;
    flush_text();
    out_.append(kind == '{' ? "{{" : "{%").append(tokens).append(kind == '{' ? " }}\n" : " %}\n");
    return true;
  }

  bool take_comment() {
    const size_t close = source_.find("#}", at_);
    if (close == source_.npos) return false;
    const char sign = close > at_ ? source_[close - 1] : '\0';
    eat_after_ = sign == '-' ? Eat::all : sign == '+' ? Eat::nothing : Eat::newline;
    at_ = close + 2;
    return true;
  }

  bool take_token(std::string* tokens) {
    const char c = source_[at_];
    if (c == '\'' || c == '"') return take_string(tokens);
    size_t end = at_ + 1;
    if (is_word(c)) {
      while (end < source_.size() && is_word(source_[end])) ++end;
    } else {
      constexpr std::array<std::string_view, 6> kPairs = {"==", "!=", ">=", "<=", "//", "**"};
      if (std::find(kPairs.begin(), kPairs.end(), source_.substr(at_, 2)) != kPairs.end()) ++end;
    }
    tokens->append(source_.substr(at_, end - at_));
    at_ = end;
    return true;
  }

  // A string literal: the usual escapes decoded, rarer ones kept as written, then quoted unambiguously.
  bool take_string(std::string* tokens) {
    const char quote = source_[at_++];
    tokens->push_back('\'');
    for (; at_ < source_.size() && source_[at_] != quote; ++at_) {
      char c = source_[at_];
      bool decoded = false;
      if (c == '\\') {
        if (++at_ == source_.size()) return false;
        constexpr std::string_view kNames = "ntr\\'\"";
        constexpr std::string_view kBytes = "\n\t\r\\'\"";
        const size_t name = kNames.find(source_[at_]);
        decoded = name != kNames.npos;
        if (decoded) {
          c = kBytes[name];
        } else {
          tokens->push_back('\\');  // a lone backslash marks an escape that stays as written
          c = source_[at_];
        }
      }
      if (c == '\'' || (decoded && c == '\\')) tokens->push_back('\\');
      tokens->push_back(c);
    }
    if (at_ == source_.size()) return false;
    ++at_;
    tokens->push_back('\'');
    return true;
  }

  void flush_text() {
    if (text_.empty()) return;
    out_.append("text ").append(std::to_string(text_.size())).append(" ").append(text_).push_back('\n');
    text_.clear();
  }

  enum class Eat { nothing, newline, all };
  std::string_view source_;
  size_t at_ = 0;
  Eat eat_after_ = Eat::nothing;  // what the tag before at_ removes after itself
  std::string text_;              // output text not yet written: comments do not split it
  std::string out_;
};

}  // namespace

std::optional<std::string> canonical_jinja(std::string_view source) {
  const std::string plain = with_plain_newlines(source);
  return Canonicaliser(plain).run();
}

uint64_t fingerprint(std::string_view canonical) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : canonical) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return hash;
}

}  // namespace bantam::text
