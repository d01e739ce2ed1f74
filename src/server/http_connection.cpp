// See http_connection.h. Reading is bounded at every step: bytes of the line, of the header and its fields, of the
// body, and the time for each. While an answer is made the socket is looked at for a peer that has gone.
#include "server/http_connection.h"

#include <poll.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <functional>
#include <new>
#include <utility>

#include "server/error_reply.h"

namespace bantam::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr auto kLookForGone = std::chrono::milliseconds(200);
constexpr size_t kReadBytes = 16 << 10;
// Read ahead of the parser. What it takes only as a whole (a chunk's extensions, trailers) is no longer than that.
constexpr size_t kBufferBytes = 128 << 10;

Clock::duration seconds(double s) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(s));
}

// The layer that has timeouts and the socket.
TcpStream& lowest(TcpStream& s) {
  return s;
}
TcpStream& lowest(TlsStream& s) {
  return s.next_layer();
}
UnixStream& lowest(UnixStream& s) {
  return s;
}

std::string to_lower(beast::string_view s) {
  std::string out(s.data(), s.size());
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

// A parse error as the refusal it deserves; nothing for a connection that just ended.
std::optional<HttpReply> refusal_of(const error_code& error) {
  if (error == http::error::header_limit) return error_reply(431, "the header is too large", "header_too_large");
  if (error == http::error::body_limit) return error_reply(413, "the body is too large", "body_too_large");
  if (error == http::error::need_buffer) return error_reply(503, "not enough memory for this request", "no_memory");
  if (error == beast::error::timeout) return error_reply(408, "the request took too long to arrive", "request_timeout");
  if (error == http::error::end_of_stream || error == http::error::partial_message) return std::nullopt;
  if (error.category() == http::make_error_code(http::error::bad_method).category()) {
    return error_reply(400, "this is no valid HTTP/1.1 request", "bad_request");
  }
  return std::nullopt;
}

template <class Stream>
class Connection : public ConnectionHandle, public std::enable_shared_from_this<Connection<Stream>> {
 public:
  Connection(std::shared_ptr<HttpServer::Shared> shared, Stream stream, std::string address)
      : shared_(std::move(shared)),
        stream_(std::move(stream)),
        address_(std::move(address)),
        timer_(*shared_->io),
        buffer_(kBufferBytes) {
    shared_->live.insert(this);
    ++shared_->counts.connections;
    ++shared_->per_address[address_];
  }
  ~Connection() override {
    shared_->live.erase(this);
    --shared_->counts.connections;
    if (--shared_->per_address[address_] == 0) shared_->per_address.erase(address_);
    if (shared_->draining && shared_->live.empty() && shared_->drained) std::exchange(shared_->drained, {})();
  }

  bool idle() const override { return idle_; }
  void close() override {
    closing_ = true;
    timer_.cancel();
    lowest(stream_).close();
  }

  asio::awaitable<void> run() {
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      error_code error;
      lowest(stream_).expires_after(seconds(limits().header_s));
      co_await stream_.async_handshake(asio::ssl::stream_base::server,
                                       asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return;
    }
    bool keep = true;
    while (keep && !closing_ && !shared_->draining) {
      idle_ = true;
      if (!co_await wait_for_request()) break;
      idle_ = false;
      keep = co_await exchange();
    }
    co_await finish();
  }

 private:
  using Parser = http::request_parser<http::string_body>;
  // However a request ends, it is counted out, and a handler that still writes writes to nobody.
  struct OpenRequest {
    OpenRequest(HttpServer::Shared& s, Responder& r) : shared(s), responder(r) { ++shared.counts.requests_open; }
    ~OpenRequest() {
      --shared.counts.requests_open;
      if (!shared.over) responder.client_gone();
    }
    OpenRequest(const OpenRequest&) = delete;
    OpenRequest& operator=(const OpenRequest&) = delete;
    HttpServer::Shared& shared;
    Responder& responder;
  };
  const HttpLimits& limits() const { return shared_->limits; }

  // The first bytes of the next request, unless they are here already.
  asio::awaitable<bool> wait_for_request() {
    if (buffer_.size() > 0) co_return true;
    error_code error;
    lowest(stream_).expires_after(seconds(first_ ? limits().header_s : limits().keep_alive_s));
    const size_t n =
        co_await stream_.async_read_some(buffer_.prepare(kReadBytes), asio::redirect_error(asio::use_awaitable, error));
    buffer_.commit(n);
    first_ = false;
    co_return !error && n > 0;
  }

  // One request and its answer; whether the connection can go on.
  asio::awaitable<bool> exchange() {
    Parser parser;
    parser.header_limit(static_cast<uint32_t>(limits().header_bytes));
    parser.body_limit(limits().body_bytes);
    error_code error;
    lowest(stream_).expires_after(seconds(limits().header_s));
    co_await http::async_read_header(stream_, buffer_, parser, asio::redirect_error(asio::use_awaitable, error));
    std::optional<HttpReply> refusal = error ? refusal_of(error) : check_header(parser);
    if (error && !refusal) co_return false;
    ++shared_->counts.requests;
    auto responder = std::make_shared<Responder>([weak = this->weak_from_this()] {
      if (auto self = weak.lock()) self->timer_.cancel();
    });
    http_11_ = parser.get().version() >= 11;
    head_only_ = parser.get().method() == http::verb::head;
    const OpenRequest open(*shared_, *responder);
    if (!refusal) {
      HttpRequest request = take_head(parser.get());
      guarded(*responder, [&] { shared_->gate(request, responder); });
      if (!responder->answered()) {
        error = co_await read_body(parser);
        if (error) refusal = refusal_of(error);
        if (error && !refusal) co_return false;
      }
      if (!responder->answered() && !refusal) {
        request.body = std::move(parser.get().body());
        guarded(*responder, [&] { shared_->handler(std::move(request), responder); });
      }
    }
    // After a body that nobody read, or a request that is none, nobody can tell where the next one begins.
    keep_ = !refusal && parser.is_done() && parser.get().keep_alive();
    if (refusal) responder->reply(std::move(*refusal));
    const bool fine = co_await answer(*responder);
    co_return fine&& keep_;
  }

  // A request for which memory runs out is refused; the others go on.
  static void guarded(Responder& responder, const std::function<void()>& f) {
    try {
      f();
    } catch (const std::bad_alloc&) {
      responder.out_of_memory();
    }
  }

  std::optional<HttpReply> check_header(const Parser& parser) const {
    const auto& head = parser.get();
    if (head.target().size() > limits().request_line_bytes) return error_reply(414, "the target is too long", "");
    size_t fields = 0;
    for (auto it = head.begin(); it != head.end(); ++it) ++fields;
    if (fields > limits().header_fields) return error_reply(431, "too many header fields", "header_too_large");
    if (head.count(http::field::host) != 1 && head.version() >= 11) {
      return error_reply(400, "expected one Host header", "bad_request");
    }
    // Anything else beside or instead of chunks would leave it open where the body ends.
    const auto coding = head[http::field::transfer_encoding];
    if (head.count(http::field::transfer_encoding) > 0 &&
        (head.count(http::field::transfer_encoding) > 1 || !beast::iequals(coding, "chunked"))) {
      return error_reply(400, "expected no Transfer-Encoding but chunked", "bad_request");
    }
    if (head.count(http::field::content_encoding) > 0) {
      return error_reply(415, "expected a body without Content-Encoding", "unsupported_encoding");
    }
    if (!parser.content_length_remaining() && !parser.chunked() && parser.get().method() == http::verb::post) {
      return error_reply(411, "expected Content-Length or chunks", "length_required");
    }
    return std::nullopt;
  }

  // The body has a while to begin with, then it must come at a steady rate.
  asio::awaitable<error_code> read_body(Parser& parser) {
    error_code error;
    const auto started = Clock::now();
    if (!parser.is_done() && parser.get().version() >= 11 &&
        beast::iequals(parser.get()[http::field::expect], "100-continue")) {
      static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      co_await asio::async_write(stream_, asio::buffer(kContinue), asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return error;
    }
    while (!parser.is_done()) {
      const double got = static_cast<double>(parser.get().body().size());
      lowest(stream_).expires_at(started + seconds(limits().body_grace_s + got / limits().body_bytes_per_s));
      co_await http::async_read_some(stream_, buffer_, parser, asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return error;
    }
    co_return error;
  }

  static HttpRequest take_head(const http::request<http::string_body>& message) {
    HttpRequest out;
    out.method = std::string(message.method_string());
    const std::string target(message.target());
    const size_t mark = target.find('?');
    out.path = target.substr(0, mark);
    if (mark != std::string::npos) out.query = target.substr(mark + 1);
    for (const auto& field : message)
      out.headers.emplace_back(to_lower(field.name_string()), std::string(field.value()));
    return out;
  }

  // Sends what the responder gets until it has ended or the peer has gone.
  asio::awaitable<bool> answer(Responder& responder) {
    auto quiet_since = Clock::now();
    bool began = false;
    for (;;) {
      if (closing_ || responder.aborted()) co_return false;
      if (responder.answered() && !began) {
        began = true;
        const bool streaming = responder.streaming();
        if (!co_await send_head(responder)) co_return false;
        if (!streaming || head_only_) co_return true;
        quiet_since = Clock::now();
      }
      if (began && responder.pending_bytes() > 0) {
        const std::string bytes = responder.take_pending();
        if (!co_await send_chunk(bytes)) co_return false;
        // What came while the reader took that; one large piece alone says nothing of the reader.
        if (responder.pending_bytes() > limits().output_bytes) co_return false;
        quiet_since = Clock::now();
        continue;
      }
      if (began && responder.ended()) co_return co_await send_end();
      if (peer_has_gone()) co_return false;
      if (began && events_ && limits().ping_s > 0 && Clock::now() - quiet_since > seconds(limits().ping_s)) {
        if (!co_await send_chunk(": ping\n\n")) co_return false;
        quiet_since = Clock::now();
      }
      error_code error;
      timer_.expires_after(kLookForGone);
      co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, error));
    }
  }

  // A peer that only closed its sending half looks like one that has gone; it gets a moment, so that what is answered
  // at once still reaches it.
  bool peer_has_gone() {
    struct pollfd look {
      .fd = lowest(stream_).socket().native_handle(), .events = POLLRDHUP, .revents = 0
    };
    if (::poll(&look, 1, 0) <= 0) return false;
    if ((look.revents & (POLLHUP | POLLERR)) != 0) return true;
    if ((look.revents & POLLRDHUP) == 0) return false;
    return half_closed_looks_++ > 0;
  }

  asio::awaitable<bool> write_all(std::string_view bytes) {
    error_code error;
    lowest(stream_).expires_after(seconds(limits().write_s));
    co_await asio::async_write(stream_, asio::buffer(bytes), asio::redirect_error(asio::use_awaitable, error));
    co_return !error;
  }

  asio::awaitable<bool> send_head(Responder& responder) {
    const bool streaming = responder.streaming();
    HttpReply head = responder.take_head();
    shared_->answered(responder.route(), head.status);
    events_ = head.type.starts_with("text/event-stream");
    if (streaming && !http_11_) keep_ = false;
    if (shared_->draining) keep_ = false;
    std::string out =
        fmt::format("HTTP/1.1 {} {}\r\nServer: bantam\r\nDate: {}\r\n", head.status,
                    std::string_view(http::obsolete_reason(static_cast<http::status>(head.status)).data(),
                                     http::obsolete_reason(static_cast<http::status>(head.status)).size()),
                    http_date(std::chrono::system_clock::now()));
    if (!head.type.empty()) out += "Content-Type: " + head.type + "\r\n";
    for (const auto& [name, value] : head.headers) out += name + ": " + value + "\r\n";
    out += "X-Content-Type-Options: nosniff\r\n";
    if (streaming) {
      out += "Cache-Control: no-store\r\n";
      if (http_11_) out += "Transfer-Encoding: chunked\r\n";
    } else if (head.status != 204 && head.status != 304) {  // these have no body, and 204 no length
      out += fmt::format("Content-Length: {}\r\n", head.body.size());
    }
    out += keep_ ? (http_11_ ? "\r\n" : "Connection: keep-alive\r\n\r\n") : "Connection: close\r\n\r\n";
    if (!streaming && !head_only_) out += head.body;
    co_return co_await write_all(out);
  }

  asio::awaitable<bool> send_chunk(std::string_view bytes) {
    if (!http_11_) co_return co_await write_all(bytes);
    std::string out = fmt::format("{:x}\r\n", bytes.size());
    out += bytes;
    out += "\r\n";
    co_return co_await write_all(out);
  }

  asio::awaitable<bool> send_end() {
    if (http_11_) co_return co_await write_all("0\r\n\r\n");
    co_return true;
  }

  // Says goodbye and reads what is still under way for a moment: closing at once would reset the connection and could
  // take the last answer with it. A body that was refused is read to its end, within a second.
  asio::awaitable<void> finish() {
    if (closing_) co_return;
    error_code error;
    lowest(stream_).expires_after(std::chrono::seconds(1));
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      co_await stream_.async_shutdown(asio::redirect_error(asio::use_awaitable, error));
    }
    lowest(stream_).socket().shutdown(asio::socket_base::shutdown_send, error);
    const size_t most_discarded = limits().body_bytes + (1 << 20);
    for (size_t discarded = 0; !error && discarded < most_discarded;) {
      buffer_.clear();
      discarded += co_await lowest(stream_).async_read_some(buffer_.prepare(kReadBytes),
                                                            asio::redirect_error(asio::use_awaitable, error));
    }
  }

  std::shared_ptr<HttpServer::Shared> shared_;
  Stream stream_;
  std::string address_;
  asio::steady_timer timer_;  // cancelled to wake the answer's loop
  beast::flat_buffer buffer_;
  bool first_ = true, idle_ = true, closing_ = false;
  // Of the request being answered.
  bool http_11_ = true, keep_ = true, head_only_ = false, events_ = false;
  int half_closed_looks_ = 0;
};

}  // namespace

template <class Stream>
void start_connection(std::shared_ptr<HttpServer::Shared> shared, Stream stream, std::string address) {
  asio::io_context& io = *shared->io;
  auto connection = std::make_shared<Connection<Stream>>(std::move(shared), std::move(stream), std::move(address));
  asio::co_spawn(
      io, [connection]() { return connection->run(); },
      [connection](std::exception_ptr failure) {
        // Only memory can run out here; this connection ends, the others go on.
        if (failure) connection->close();
      });
}

template void start_connection(std::shared_ptr<HttpServer::Shared>, TcpStream, std::string);
template void start_connection(std::shared_ptr<HttpServer::Shared>, TlsStream, std::string);
template void start_connection(std::shared_ptr<HttpServer::Shared>, UnixStream, std::string);

}  // namespace bantam::server
