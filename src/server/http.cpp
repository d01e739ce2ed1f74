// See http.h.
#include "server/http.h"

#include "base/check.h"

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
  pending_ += bytes;
  wake_();
}

void Responder::end() {
  if (gone_ || ended_) return;
  ended_ = true;
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

}  // namespace bantam::server
