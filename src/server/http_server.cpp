// See http_server.h.
#include "server/http_server.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/ssl/context.hpp>
#include <optional>

#include "server/error_reply.h"
#include "server/http_connection.h"

namespace bantam::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using Local = asio::local::stream_protocol;

// A small answer to a connection that is one too many, sent without waiting.
std::string too_many() {
  const HttpReply reply = error_reply(503, "too many connections", "busy");
  return fmt::format(
      "HTTP/1.1 503 Service Unavailable\r\nContent-Type: {}\r\nRetry-After: 1\r\nConnection: close\r\n"
      "Content-Length: {}\r\n\r\n{}",
      reply.type, reply.body.size(), reply.body);
}

}  // namespace

struct HttpServer::Listener {
  explicit Listener(asio::io_context& io) : tcp_acceptor(io), local_acceptor(io), retry(io) {}

  tcp::acceptor tcp_acceptor;
  Local::acceptor local_acceptor;
  asio::steady_timer retry;
  std::optional<asio::ssl::context> tls;
  std::string url, socket_path;
};

HttpServer::HttpServer(asio::io_context& io, HttpLimits limits, HttpGate gate, HttpHandler handler,
                       HttpAnswered answered)
    : shared_(std::make_shared<Shared>()), listener_(std::make_unique<Listener>(io)) {
  shared_->io = &io;
  shared_->limits = limits;
  shared_->gate = std::move(gate);
  shared_->handler = std::move(handler);
  shared_->answered = std::move(answered);
}

HttpServer::~HttpServer() {
  shared_->over = true;
  shared_->drained = {};
  if (!listener_->socket_path.empty()) ::unlink(listener_->socket_path.c_str());
}

const HttpCounts& HttpServer::counts() const {
  return shared_->counts;
}

std::string HttpServer::url() const {
  return listener_->url;
}

namespace {

// One accepted socket becomes a connection, unless there are too many.
template <class Socket>
void admit(const std::shared_ptr<HttpServer::Shared>& shared, asio::ssl::context* tls, Socket socket,
           const std::string& address) {
  const HttpLimits& limits = shared->limits;
  const auto known = shared->per_address.find(address);
  const int64_t same = known == shared->per_address.end() ? 0 : known->second;
  const bool crowded = !address.empty() && same >= limits.connections_per_address;  // a Unix socket's have none
  if (shared->counts.connections >= limits.connections || crowded) {
    ++shared->counts.refused;
    error_code ignored;
    socket.non_blocking(true, ignored);
    if (tls == nullptr) {
      socket.send(asio::buffer(too_many()), 0, ignored);
      shared->answered("", 503);
    }
    socket.shutdown(asio::socket_base::shutdown_send, ignored);
    return;
  }
  ++shared->counts.accepted;
  if constexpr (std::is_same_v<Socket, tcp::socket>) {
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    if (tls != nullptr) {
      start_connection(shared, TlsStream(TcpStream(std::move(socket)), *tls), address);
    } else {
      start_connection(shared, TcpStream(std::move(socket)), address);
    }
  } else {
    start_connection(shared, UnixStream(std::move(socket)), address);
  }
}

template <class Acceptor>
void accept_next(const std::shared_ptr<HttpServer::Shared>& shared, Acceptor& acceptor, asio::steady_timer& retry,
                 asio::ssl::context* tls) {
  acceptor.async_accept([shared, &acceptor, &retry, tls](error_code error, auto socket) {
    if (error == asio::error::operation_aborted || shared->draining) return;
    if (error) {
      // Out of descriptors, as a rule: wait for some to be given back instead of spinning.
      retry.expires_after(std::chrono::milliseconds(50));
      retry.async_wait([shared, &acceptor, &retry, tls](error_code stopped) {
        if (!stopped) accept_next(shared, acceptor, retry, tls);
      });
      return;
    }
    std::string address;
    if constexpr (std::is_same_v<Acceptor, tcp::acceptor>) {
      error_code gone;
      const auto peer = socket.remote_endpoint(gone);
      if (!gone) address = peer.address().to_string();
    }
    admit(shared, tls, std::move(socket), address);
    accept_next(shared, acceptor, retry, tls);
  });
}

Status open_tls(const HttpListen& where, std::optional<asio::ssl::context>* out) {
  if (where.tls_certificate.empty() && where.tls_key.empty()) return {};
  if (where.tls_certificate.empty() || where.tls_key.empty()) {
    return usage_error("TLS needs both a certificate and a key (PEM files)");
  }
  error_code error;
  asio::ssl::context& context = out->emplace(asio::ssl::context::tls_server);
  context.set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1, error);
  context.use_certificate_chain_file(where.tls_certificate, error);
  if (error) return bad_input("{}: expected a PEM certificate: {}", where.tls_certificate, error.message());
  context.use_private_key_file(where.tls_key, asio::ssl::context::pem, error);
  if (error) return bad_input("{}: expected the certificate's PEM key: {}", where.tls_key, error.message());
  return {};
}

}  // namespace

Status HttpServer::listen(const HttpListen& where) {
  error_code error;
  if (!where.unix_socket.empty()) {
    auto& acceptor = listener_->local_acceptor;
    if (where.unix_socket.size() >= sizeof(sockaddr_un::sun_path)) {
      return usage_error("{}: expected a shorter path for a Unix socket", where.unix_socket);
    }
    struct stat info {};
    if (::stat(where.unix_socket.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) {
      asio::local::stream_protocol::socket probe(*shared_->io);
      probe.connect(Local::endpoint(where.unix_socket), error);
      if (!error) return failed("{}: somebody listens there already", where.unix_socket);
      ::unlink(where.unix_socket.c_str());  // left behind by a server that was killed
    }
    acceptor.open(Local(), error);
    const mode_t before = ::umask(0077);
    if (!error) acceptor.bind(Local::endpoint(where.unix_socket), error);
    ::umask(before);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) return failed("cannot listen on {}: {}", where.unix_socket, error.message());
    listener_->socket_path = where.unix_socket;
    listener_->url = "unix:" + where.unix_socket;
    accept_next(shared_, acceptor, listener_->retry, nullptr);
    return {};
  }
  BANTAM_TRY(open_tls(where, &listener_->tls));
  tcp::resolver resolver(*shared_->io);
  const auto found = resolver.resolve(where.host, std::to_string(where.port), tcp::resolver::passive, error);
  if (error || found.empty()) return usage_error("{}: expected an address of this machine", where.host);
  const tcp::endpoint endpoint = found.begin()->endpoint();
  auto& acceptor = listener_->tcp_acceptor;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return failed("cannot listen on {}:{}: {}", where.host, where.port, error.message());
  const bool bracket = where.host.find(':') != std::string::npos;
  listener_->url = fmt::format("{}://{}{}{}:{}", listener_->tls ? "https" : "http", bracket ? "[" : "", where.host,
                               bracket ? "]" : "", acceptor.local_endpoint().port());
  accept_next(shared_, acceptor, listener_->retry, listener_->tls ? &*listener_->tls : nullptr);
  return {};
}

void HttpServer::drain(std::function<void()> done) {
  error_code ignored;
  shared_->draining = true;
  listener_->tcp_acceptor.close(ignored);
  listener_->local_acceptor.close(ignored);
  listener_->retry.cancel();
  if (shared_->live.empty()) return done();
  shared_->drained = std::move(done);
  for (ConnectionHandle* connection : std::set<ConnectionHandle*>(shared_->live)) {
    if (connection->idle()) connection->close();
  }
}

void HttpServer::stop() {
  for (ConnectionHandle* connection : std::set<ConnectionHandle*>(shared_->live)) connection->close();
}

}  // namespace bantam::server
