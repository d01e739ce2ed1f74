// Status and Result<T>: how every fallible call in bantam reports failure. Part of the installed API, so it
// depends on the standard library only. Values, not exceptions: nothing in bantam throws across a room's border.
// Thread-safety: as any value type. Interface is a subset of std::expected, which g++ 12 does not have.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>

namespace bantam {

enum class ErrorCode : uint8_t {
  kFailed,       // the work failed (I/O, internal limits)           exit code 1
  kUsage,        // the caller asked for something that cannot be    exit code 2
  kBadInput,     // a file or a request is damaged or not ours       exit code 3
  kNoSpace,      // not enough memory or disk                        exit code 4
  kContextFull,  // the session's context has no room for the tokens exit code 1
  kCancelled,    // stopped at the caller's wish                     exit code 130
  kBusy,         // too much is waiting already; ask again later     exit code 1
};

// Null when fine, else code + message + where it was raised. One pointer wide.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(ErrorCode code, std::string message, std::source_location where = std::source_location::current())
      : error_(std::make_unique<Error>(Error{code, std::move(message), where})) {}
  Status(const Status& other) : error_(other.error_ ? std::make_unique<Error>(*other.error_) : nullptr) {}
  Status& operator=(const Status& other) {
    if (this != &other) error_ = other.error_ ? std::make_unique<Error>(*other.error_) : nullptr;
    return *this;
  }
  Status(Status&&) = default;
  Status& operator=(Status&&) = default;

  bool ok() const { return error_ == nullptr; }
  explicit operator bool() const { return ok(); }
  // REQUIRES: !ok() for the three below; on a fine status they return kFailed, "" and an empty location.
  ErrorCode code() const { return error_ ? error_->code : ErrorCode::kFailed; }
  std::string_view message() const { return error_ ? std::string_view(error_->message) : std::string_view(); }
  std::source_location where() const { return error_ ? error_->where : std::source_location(); }
  // The same failure with `context` and ": " put before its message.
  Status with_context(std::string_view context) && {
    if (error_) error_->message = std::string(context) + ": " + error_->message;
    return std::move(*this);
  }

 private:
  struct Error {
    ErrorCode code;
    std::string message;
    std::source_location where;
  };
  std::unique_ptr<Error> error_;
};

// A T or the Status that says why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result(T value) : value_(std::move(value)) {}          // NOLINT: implicit by design
  Result(Status status) : status_(std::move(status)) {}  // NOLINT: REQUIRES: !status.ok()

  bool ok() const { return value_.has_value(); }
  explicit operator bool() const { return ok(); }
  // REQUIRES: ok().
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return std::move(*value_); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return std::move(*value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }
  const Status& status() const& { return status_; }
  Status&& status() && { return std::move(status_); }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace bantam
