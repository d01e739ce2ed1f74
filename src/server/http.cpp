// See http.h.
#include "server/http.h"

#include <fmt/format.h>

#include <ctime>
#include <new>

#include "base/check.h"
#include "server/error_reply.h"

namespace bantam::server {

std::string_view HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

void Responder::reply(HttpReply reply) {
  if (gone_) return;
  BANTAM_CHECK(!answered_);
  head_ = std::move(reply);
  answered_ = ended_ = true;
  wake_();
}

void Responder::begin_stream(std::string type, Headers headers) {
  if (gone_) return;
  BANTAM_CHECK(!answered_);
  head_ = {.type = std::move(type), .headers = std::move(headers)};
  answered_ = streaming_ = true;
  wake_();
}

void Responder::write(std::string_view bytes) {
  if (gone_ || ended_) return;
  const bool news = pending_.empty();
  pending_ += bytes;
  if (news) wake_();
}

void Responder::end() {
  if (gone_ || ended_) return;
  ended_ = true;
  wake_();
}

void Responder::out_of_memory() noexcept {
  if (gone_ || ended_) return;
  try {
    if (!answered_) return reply(error_reply(503, "not enough memory for this request", "no_memory"));
  } catch (const std::bad_alloc&) {
  }
  aborted_ = ended_ = true;
  wake_();
}

HttpReply Responder::take_head() {
  head_.headers.insert(head_.headers.end(), extra_.begin(), extra_.end());
  return std::move(head_);
}

void Responder::client_gone() {
  if (std::exchange(gone_, true)) return;
  pending_.clear();
  if (auto heard = std::exchange(heard_gone_, {})) heard();
}

std::string http_date(std::chrono::system_clock::time_point time) {
  constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", kDays[parts.tm_wday], parts.tm_mday,
                     kMonths[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

}  // namespace bantam::server
