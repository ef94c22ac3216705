// The server over TLS: the same answers, and the same bounds for those who only begin.
#include <gmock/gmock.h>
#include <openssl/ssl.h>
#include <signal.h>

#include "common/tls/trust.h"
#include "tests/scheduler/http/server_fixture.h"

namespace tutti::http {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// A Client whose bytes go through TLS.
class TlsClient {
 public:
  TlsClient(std::uint16_t port, const std::string& pin)
      : socket_(port),
        context_(tls::ClientContext({.pin = pin}).value()),
        ssl_(SSL_new(context_.get()), &SSL_free) {
    const timeval patience{.tv_sec = 30, .tv_usec = 0};
    ::setsockopt(socket_.fd(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    SSL_set_fd(ssl_.get(), socket_.fd());
    connected_ = SSL_connect(ssl_.get()) == 1;
  }

  bool connected() const { return connected_; }
  int fd() const { return socket_.fd(); }
  SSL* ssl() { return ssl_.get(); }
  void Send(const std::string& bytes) {
    EXPECT_GT(SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())), 0);
  }
  // What comes until and with `mark`, or until the end.
  std::string ReadUntil(std::string_view mark) {
    std::string text;
    char byte = 0;
    while (!text.ends_with(mark) && SSL_read(ssl_.get(), &byte, 1) == 1) text.push_back(byte);
    return text;
  }
  std::string ReadBytes(std::size_t count) {
    std::string text;
    char byte = 0;
    while (text.size() < count && SSL_read(ssl_.get(), &byte, 1) == 1) text.push_back(byte);
    return text;
  }
  // Whether the server said goodbye in TLS's own way.
  bool EndsCleanly() {
    char byte = 0;
    const int got = SSL_read(ssl_.get(), &byte, 1);
    return got <= 0 && SSL_get_error(ssl_.get(), got) == SSL_ERROR_ZERO_RETURN;
  }

 private:
  Client socket_;
  tls::Context context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
  bool connected_ = false;
};

class TlsServerTest : public ServerFixture {
 protected:
  void SetUp() override {
    ServerFixture::SetUp();
    ::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets that the server has closed
    const std::vector<std::string> names = {"localhost"};
    identity_ = tls::LoadOrMakeIdentity(folder_ / "tls", names).value();
  }
  void StartTls(ServerOptions options = {}) {
    options.identity = identity_;
    Start(std::move(options));
  }
  TlsClient Connect() { return {port(), identity_.pin}; }
  bool WaitForConnections(std::size_t count) {
    const Instant deadline = MonotonicNow() + kPatience;
    while (server_->Connections() != count) {
      if (MonotonicNow() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  tls::Identity identity_;
};

TEST_F(TlsServerTest, AnswersSeveralRequestsOfAConnectionAndSaysItsAddress) {
  StartTls();
  EXPECT_EQ(server_->Url(), "https://127.0.0.1:" + std::to_string(port()));
  TlsClient client = Connect();
  ASSERT_TRUE(client.connected());
  for (int i = 0; i < 3; ++i) {
    client.Send(ToBytes({.path = "/hello"}));
    EXPECT_THAT(client.ReadUntil("hello"), HasSubstr("200 OK"));
  }
  client.Send(ToBytes({.path = "/hello", .headers = {{"connection", "close"}}}));
  EXPECT_THAT(client.ReadUntil("hello"), HasSubstr("200 OK"));
  EXPECT_TRUE(client.EndsCleanly());
}

TEST_F(TlsServerTest, TakesAndGivesMoreThanARecord) {
  StartTls();
  TlsClient client = Connect();
  const std::string body(500'000, 'u');
  client.Send(ToBytes({.method = "PUT", .path = "/upload", .body = body}));
  EXPECT_THAT(client.ReadUntil("}\n"), HasSubstr(Sha256Of(body).ToString()));
  client.Send(ToBytes({.path = "/endless"}));
  EXPECT_THAT(client.ReadUntil("\r\n\r\n"), HasSubstr("200 OK"));
  const std::string many = client.ReadBytes(300'000);
  EXPECT_EQ(many.size(), 300'000u);
  EXPECT_GT(std::count(many.begin(), many.end(), 'e'), 299'000);
}

TEST_F(TlsServerTest, StreamsEventsAndNoticesThatTheClientWent) {
  StartTls();
  {
    TlsClient client = Connect();
    client.Send(ToBytes({.path = "/events"}));
    client.ReadUntil("\r\n\r\n");
    hub_.Publish({.seq = 1, .job = "j", .type = "started", .data = "{}"});
    EXPECT_THAT(client.ReadUntil("data: {}"), HasSubstr("event: started"));
    EXPECT_EQ(hub_.Subscribers(), 1u);
    SSL_shutdown(client.ssl());
  }
  EXPECT_TRUE(WaitForConnections(0)) << "nothing was written, and nobody noticed the end";
}

TEST_F(TlsServerTest, AStreamThatEndsSaysSo) {
  StartTls();
  TlsClient client = Connect();
  client.Send(ToBytes({.path = "/events"}));
  client.ReadUntil("\r\n\r\n");
  // Stop cuts a stream that is being written; both I/O threads have been here since.
  for (int thread = 0; thread < 2; ++thread) {
    TlsClient other = Connect();
    other.Send(ToBytes({.path = "/hello"}));
    EXPECT_THAT(other.ReadUntil("hello"), HasSubstr("200 OK"));
  }
  server_->Stop(std::chrono::seconds(5));
  EXPECT_THAT(client.ReadUntil("0\r\n\r\n"), HasSubstr("0\r\n\r\n"));
}

TEST_F(TlsServerTest, PlainHttpIsToldToUseTls) {
  StartTls();
  const Answer answer = Ask({.path = "/hello"});
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(json::parse(answer.body)["error"]["message"], HasSubstr("speaks HTTPS"));
  EXPECT_EQ(answer.Header("connection"), "close");
}

TEST_F(TlsServerTest, RubbishAndBrokenHandshakesEndTheConnectionOnly) {
  StartTls();
  for (const std::string& bytes :
       {std::string("\0\0\0\0", 4), std::string("\x16\x03\x01\x00\x05rubbi"),
        std::string("\x16\x03\x01\xff\xff") + std::string(70'000, 'x'), std::string("\x16")}) {
    Client client(port());
    client.Send(bytes);
    ::shutdown(client.fd(), SHUT_WR);
    while (client.Fill()) continue;  // perhaps an alert
  }
  EXPECT_TRUE(WaitForConnections(0));
  TlsClient client = Connect();
  client.Send(ToBytes({.path = "/hello"}));
  EXPECT_THAT(client.ReadUntil("hello"), HasSubstr("200 OK"));
}

TEST_F(TlsServerTest, AHandshakeThatTakesTooLongIsCut) {
  StartTls({.header_deadline = std::chrono::milliseconds(50)});
  Client silent(port());
  Client slow(port());
  slow.Send("\x16\x03");
  TlsClient shaken = Connect();  // and then no request
  EXPECT_TRUE(silent.EndsSilently());
  EXPECT_TRUE(slow.EndsSilently());
  EXPECT_EQ(shaken.ReadUntil("x"), "");
}

TEST_F(TlsServerTest, HandshakesCountAsConnections) {
  StartTls({.connections_max = 2});
  const Client one(port());
  const Client two(port());
  ASSERT_TRUE(WaitForConnections(2));
  EXPECT_FALSE(Connect().connected());
}

TEST_F(TlsServerTest, StopEndsHandshakesAtOnce) {
  StartTls();
  Client client(port());
  client.Send("\x16");
  ASSERT_TRUE(WaitForConnections(1));
  server_->Stop(std::chrono::milliseconds(1));
  EXPECT_TRUE(client.EndsSilently());
}

}  // namespace
}  // namespace tutti::http
