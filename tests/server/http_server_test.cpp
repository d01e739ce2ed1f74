// HttpServer over real sockets with handlers by hand: what is refused before a body is read, and what happens when
// memory runs out in the middle of a request.
#include "server/http_server.h"

#include <gtest/gtest.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <memory>
#include <new>
#include <string>
#include <thread>

#include "server/error_reply.h"

namespace bantam::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

class HttpServerTest : public ::testing::Test {
 protected:
  HttpServerTest() {
    EXPECT_TRUE(server_.listen({.port = 0}).ok());
    port_ = server_.url().substr(server_.url().rfind(':') + 1);
    thread_ = std::thread([this] { io_.run(); });
  }
  ~HttpServerTest() override {
    asio::post(io_, [this] {
      server_.drain([] {});
      server_.stop();
    });
    thread_.join();
  }

  void gate(HttpRequest& head, const std::shared_ptr<Responder>& responder) {
    if (head.path == "/no") responder->reply(error_reply(401, "no", ""));
    if (head.path == "/gate") throw std::bad_alloc();
    head.owner = "somebody";
  }
  void handle(const HttpRequest& request, const std::shared_ptr<Responder>& responder) {
    if (request.path == "/boom") throw std::bad_alloc();
    if (request.path == "/later") {
      responder->begin_stream("text/plain");
      responder->write("begun");
      return asio::post(io_, [responder] { responder->out_of_memory(); });
    }
    responder->reply({.type = "text/plain", .body = request.owner + ":" + request.body, .headers = {}});
  }

  // All that comes back until the server closes. The peer must see an orderly end, no reset.
  std::string talk(const std::string& request) {
    asio::io_context io;
    tcp::socket socket(io);
    asio::connect(socket, tcp::resolver(io).resolve("127.0.0.1", port_));
    boost::system::error_code error;
    asio::write(socket, asio::buffer(request), error);
    std::string out;
    asio::read(socket, asio::dynamic_buffer(out), error);
    EXPECT_EQ(error, asio::error::eof) << error.message();
    return out;
  }

  asio::io_context io_;
  HttpServer server_{io_,
                     {.body_bytes = 2 << 20},
                     [this](HttpRequest& head, const std::shared_ptr<Responder>& r) { gate(head, r); },
                     [this](HttpRequest request, const std::shared_ptr<Responder>& r) { handle(request, r); },
                     [](const std::string&, int) {}};
  std::string port_;
  std::thread thread_;
};

const std::string kHead = " HTTP/1.1\r\nHost: localhost\r\n";
const std::string kLast = "Connection: close\r\n";

TEST_F(HttpServerTest, ABodyGoesToTheHandlerWithWhatTheGateFound) {
  const std::string reply = talk("POST /" + kHead + kLast + "Content-Length: 3\r\n\r\nabc");
  EXPECT_TRUE(reply.starts_with("HTTP/1.1 200 ")) << reply;
  EXPECT_TRUE(reply.ends_with("\r\n\r\nsomebody:abc")) << reply;
}

TEST_F(HttpServerTest, WhatIsRefusedByItsHeaderSendsNoBody) {
  // Announced and never sent: whoever waited for it would not answer.
  const std::string reply = talk("POST /no" + kHead + "Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_TRUE(reply.starts_with("HTTP/1.1 401 ")) << reply << ": and no 100 Continue before it";
  EXPECT_NE(reply.find("Connection: close"), std::string::npos) << "where the next request begins nobody could tell";
  // Sent all the same: the answer arrives, and what was sent is no next request.
  const std::string body(2 << 20, 'x');
  const std::string other = talk("POST /no" + kHead + "Content-Length: 2097152\r\n\r\n" + body);
  EXPECT_TRUE(other.starts_with("HTTP/1.1 401 ")) << other.substr(0, 200);
  EXPECT_EQ(other.find("HTTP/1.1", 1), std::string::npos) << other;
}

TEST_F(HttpServerTest, ExpectedBodiesAreAskedFor) {
  const std::string reply = talk("POST /" + kHead + kLast + "Expect: 100-continue\r\nContent-Length: 1\r\n\r\na");
  EXPECT_TRUE(reply.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")) << reply;
}

TEST_F(HttpServerTest, ARefusalWithoutABodyKeepsTheConnection) {
  const std::string reply = talk("GET /no" + kHead + "\r\nGET /" + kHead + kLast + "\r\n");
  EXPECT_TRUE(reply.starts_with("HTTP/1.1 401 ")) << reply;
  EXPECT_NE(reply.find("HTTP/1.1 200 "), std::string::npos) << reply;
}

TEST_F(HttpServerTest, MemoryThatRunsOutIsOneRequestsFailure) {
  for (const std::string path : {"/boom", "/gate"}) {
    const std::string reply = talk("POST " + path + kHead + kLast + "Content-Length: 1\r\n\r\na");
    EXPECT_TRUE(reply.starts_with("HTTP/1.1 503 ")) << reply;
    EXPECT_NE(reply.find("memory"), std::string::npos) << reply;
  }
  const std::string begun = talk("GET /later" + kHead + "\r\n");
  EXPECT_TRUE(begun.starts_with("HTTP/1.1 200 ")) << begun;
  EXPECT_FALSE(begun.ends_with("0\r\n\r\n")) << "an answer that is not whole must not look like one: " << begun;
  EXPECT_TRUE(talk("GET /" + kHead + kLast + "\r\n").starts_with("HTTP/1.1 200 "));
}

TEST(HttpDate, IsTheInternetsForm) {
  const auto at = [](int64_t s) { return std::chrono::system_clock::time_point(std::chrono::seconds(s)); };
  EXPECT_EQ(http_date(at(0)), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(http_date(at(784111777)), "Sun, 06 Nov 1994 08:49:37 GMT");
}

}  // namespace
}  // namespace bantam::server
