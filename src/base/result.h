// The house's way to fail: Status/Result (defined in the installed header) plus formatted construction and the
// early-return macros. Everybody includes this one.
#pragma once

#include <fmt/format.h>

#include <source_location>
#include <string>
#include <utility>

#include "bantam/result.h"

namespace bantam {

// A format string that remembers where it was written, so that errors carry their place without a macro.
template <class... Args>
struct FormatAt {
  fmt::format_string<Args...> text;
  std::source_location where;
  template <class S>
  consteval FormatAt(const S& s, std::source_location w = std::source_location::current()) : text(s), where(w) {}
};

template <class... Args>
Status make_error(ErrorCode code, FormatAt<std::type_identity_t<Args>...> f, Args&&... args) {
  return Status(code, fmt::format(f.text, std::forward<Args>(args)...), f.where);
}
// Shorthands for the common codes; messages say what was expected, what came, where.
template <class... Args>
Status bad_input(FormatAt<std::type_identity_t<Args>...> f, Args&&... args) {
  return Status(ErrorCode::kBadInput, fmt::format(f.text, std::forward<Args>(args)...), f.where);
}
template <class... Args>
Status usage_error(FormatAt<std::type_identity_t<Args>...> f, Args&&... args) {
  return Status(ErrorCode::kUsage, fmt::format(f.text, std::forward<Args>(args)...), f.where);
}
template <class... Args>
Status failed(FormatAt<std::type_identity_t<Args>...> f, Args&&... args) {
  return Status(ErrorCode::kFailed, fmt::format(f.text, std::forward<Args>(args)...), f.where);
}
template <class... Args>
Status no_space(FormatAt<std::type_identity_t<Args>...> f, Args&&... args) {
  return Status(ErrorCode::kNoSpace, fmt::format(f.text, std::forward<Args>(args)...), f.where);
}

}  // namespace bantam

#define BANTAM_CONCAT_(a, b) a##b
#define BANTAM_CONCAT(a, b) BANTAM_CONCAT_(a, b)
// BANTAM_TRY(expr): returns the Status from the enclosing function when expr (a Status) is not ok.
#define BANTAM_TRY(expr)                             \
  do {                                               \
    ::bantam::Status bantam_status_ = (expr);        \
    if (!bantam_status_.ok()) return bantam_status_; \
  } while (false)
// BANTAM_TRY_ASSIGN(auto x, expr): x = value of a Result, or returns its Status.
#define BANTAM_TRY_ASSIGN(decl, expr) BANTAM_TRY_ASSIGN_(decl, expr, BANTAM_CONCAT(bantam_result_, __LINE__))
#define BANTAM_TRY_ASSIGN_(decl, expr, tmp)      \
  auto tmp = (expr);                             \
  if (!tmp.ok()) return std::move(tmp).status(); \
  decl = std::move(tmp).value()
