// One connection: reads requests one after the other, calls the handler, writes what the Responder gets. Within
// server/; the stream is TCP, TLS over TCP or a Unix socket.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <map>
#include <set>
#include <string>

#include "server/http_server.h"

namespace bantam::server {

using TcpStream = boost::beast::tcp_stream;
using TlsStream = boost::beast::ssl_stream<TcpStream>;
using UnixStream = boost::beast::basic_stream<boost::asio::local::stream_protocol>;

// A live connection as the server sees it.
class ConnectionHandle {
 public:
  virtual ~ConnectionHandle() = default;
  virtual bool idle() const = 0;  // between requests
  virtual void close() = 0;
};

struct HttpServer::Shared {
  boost::asio::io_context* io = nullptr;
  HttpLimits limits;
  HttpGate gate;
  HttpHandler handler;
  HttpAnswered answered;
  HttpCounts counts;
  std::map<std::string, int64_t> per_address;
  std::set<ConnectionHandle*> live;
  bool draining = false;
  std::function<void()> drained;
  bool over = false;  // the server is gone, and with it everybody who could be told of an end
};

// Serves the connection until it ends. `address`: of the peer, "" for a Unix socket.
template <class Stream>
void start_connection(std::shared_ptr<HttpServer::Shared> shared, Stream stream, std::string address);

extern template void start_connection(std::shared_ptr<HttpServer::Shared>, TcpStream, std::string);
extern template void start_connection(std::shared_ptr<HttpServer::Shared>, TlsStream, std::string);
extern template void start_connection(std::shared_ptr<HttpServer::Shared>, UnixStream, std::string);

}  // namespace bantam::server
