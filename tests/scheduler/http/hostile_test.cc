// Clients that mean harm, or behave as if.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/scheduler/http/server_fixture.h"

namespace tutti::http {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::string_literals::operator""s;

class HostileTest : public ServerFixture {
 protected:
  static std::string Head(std::string_view method_and_path, std::string_view fields) {
    return std::string(method_and_path) + " HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer " +
           std::string(kTestToken) + "\r\n" + std::string(fields) + "\r\n";
  }
  // What a second request hidden in the first one's body would look like.
  static std::string Hidden() { return Head("GET /hello", ""); }

  // The request is refused and nothing after it is read as another one.
  void ExpectRefused(const std::string& bytes) {
    Client client(port());
    client.Send(bytes + Hidden());
    const Answer answer = client.Read();
    EXPECT_TRUE(answer.status == 400 || answer.status == 0) << answer.status << "\n" << bytes;
    EXPECT_TRUE(client.EndsSilently()) << bytes;
  }
};

TEST_F(HostileTest, TwoOpinionsOnTheBodysLengthAreRefused) {
  Start();
  const std::string body = "0\r\n\r\n";
  for (const char* fields : {"content-length: 5\r\ntransfer-encoding: chunked\r\n",
                             "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
                             "content-length: 5\r\ncontent-length: 5\r\n",
                             "content-length: 5\r\ncontent-length: 50\r\n",
                             "content-length: 5, 5\r\n",
                             "content-length: +5\r\n",
                             "content-length: 0x5\r\n",
                             "content-length: -5\r\n",
                             "content-length: 5 5\r\n",
                             "content-length: \r\n",
                             "content-length: 99999999999999999999\r\n",
                             "transfer-encoding: chunked, chunked\r\n",
                             "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
                             "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
                             "transfer-encoding: identity, chunked\r\n",
                             "transfer-encoding: gzip, chunked\r\n",
                             "transfer-encoding: identity\r\n",
                             "transfer-encoding: xchunked\r\n",
                             "transfer-encoding: \x0b"
                             "chunked\r\n",
                             "transfer-encoding:\r\n"}) {
    ExpectRefused(Head("POST /echo", fields) + body);
  }
  EXPECT_TRUE(Responds());
}

TEST_F(HostileTest, MalformedHeadsAreRefused) {
  Start();
  const std::string token = "authorization: Bearer " + std::string(kTestToken) + "\r\n";
  for (const std::string& bytes : std::vector<std::string>{
           "GET /hello HTTP/1.1\nhost: localhost\n" + token + "\n",
           "GET /hello HTTP/1.1\r\nhost: localhost\n" + token + "\r\n",
           "GET /hello HTTP/1.1\r\nhost : localhost\r\n" + token + "\r\n",
           "GET /hello HTTP/1.1\r\nhost: localhost\r\n: x\r\n" + token + "\r\n",
           "GET /hello HTTP/1.1\r\nhost: localhost\r\nno colon\r\n" + token + "\r\n",
           "GET /hello HTTP/1.1\r\n host: localhost\r\n" + token + "\r\n",
           "GET /hello HTTP/1.1\r\nhost: localhost\r\nx: a\rb\r\n" + token + "\r\n",
           "GET /hello HTTP/1.1\r\nhost: localhost\r\nx: a\x01z\r\n" + token + "\r\n",
           "GET /hello HTTP/2.0\r\nhost: localhost\r\n" + token + "\r\n",
           "GET /hello HTTP/1.1 x\r\nhost: localhost\r\n" + token + "\r\n",
           "GET  /hello HTTP/1.1\r\nhost: localhost\r\n" + token + "\r\n", "GET /hello\r\n\r\n",
           "GET /hello world HTTP/1.1\r\nhost: localhost\r\n\r\n",
           "GET /hello HTTP/1.1\r\n" + token + "\r\n",
           "GET /hello HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n" + token + "\r\n",
           "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello\r\n\r\n"s,
           std::string(200, '\0')}) {
    ExpectRefused(bytes);
  }
  EXPECT_TRUE(Responds());
}

TEST_F(HostileTest, AFoldedLineBelongsToTheValueBeforeIt) {
  Start();
  // RFC 9112 leaves refusing and joining by spaces; a field of its own it must never be.
  const Answer answer =
      AskRaw(Head("GET /headers", "x: a\r\n content-length: 50\r\n\thost: evil.example\r\n"));
  if (answer.status != 400) {
    ASSERT_EQ(answer.status, 200);
    const json headers = json::parse(answer.body);
    EXPECT_EQ(std::count_if(headers.begin(), headers.end(),
                            [](const json& field) { return field[0] == "content-length"; }),
              0);
    EXPECT_THAT(headers.dump(), testing::HasSubstr("a content-length: 50 host: evil.example"));
  }
  ExpectRefused(Head("POST /echo", "transfer-encoding: chunked\r\n , identity\r\n") + "0\r\n\r\n");
}

TEST_F(HostileTest, MalformedChunksAreRefused) {
  Start();
  for (const char* body : {"x\r\n", "-1\r\n", "5 \r\nabcde\r\n0\r\n\r\n", "5\nabcde\n0\n\n",
                           "5\r\nabcdefg\r\n0\r\n\r\n", "ffffffffffffffffff\r\n", "\r\n",
                           "0\r\nbad trailer\r\n\r\n"}) {
    Client client(port());
    client.Send(Head("POST /echo", "transfer-encoding: chunked\r\n") + body + Hidden());
    const Answer answer = client.Read();
    EXPECT_TRUE(answer.status == 400 || answer.status == 413 || answer.status == 0)
        << answer.status << " " << body;
    EXPECT_TRUE(client.EndsSilently()) << body;
  }
  EXPECT_TRUE(Responds());
}

TEST_F(HostileTest, TooMuchIsRefusedBeforeItIsRead) {
  Start();
  // The refusal comes although not a byte of the body was sent.
  EXPECT_EQ(AskRaw(Head("POST /echo", "content-length: 65537\r\n")).status, 413);
  EXPECT_EQ(AskRaw(Head("PUT /upload", "content-length: 1048577\r\n")).status, 413);
  EXPECT_EQ(AskRaw(Head("PUT /upload", "content-length: 9223372036854775807\r\n")).status, 413);
  EXPECT_EQ(AskRaw(Head("GET /hello", "content-length: 4097\r\n")).status, 413);
  // Without a length it comes as soon as there is too much.
  for (const char* what : {"POST /echo", "PUT /upload"}) {
    Client client(port());
    client.Send(Head(what, "transfer-encoding: chunked\r\n"));
    const std::string chunk = "10000\r\n" + std::string(std::size_t{1} << 16, 'x') + "\r\n";
    for (int i = 0; i < 17; ++i) client.Send(chunk);
    EXPECT_EQ(client.Read().status, 413) << what;
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "spool"));
}

TEST_F(HostileTest, LongHeadsAreRefused) {
  Start();
  EXPECT_EQ(AskRaw(Head("GET /hello", "x: " + std::string(20'000, 'x') + "\r\n")).status, 431);
  EXPECT_EQ(AskRaw("GET /" + std::string(20'000, 'x') + " HTTP/1.1\r\n\r\n").status, 431);
  std::string many;
  for (int i = 0; i < 4000; ++i) many += "x: y\r\n";
  EXPECT_EQ(AskRaw(Head("GET /hello", many)).status, 431);
  EXPECT_EQ(AskRaw(Head("GET /hello", "x: " + std::string(10'000, 'x') + "\r\n")).status, 200);
}

TEST_F(HostileTest, SlowClientsAreCutAtTheirDeadlines) {
  Start({.header_deadline = milliseconds(50),
         .idle_timeout = milliseconds(50),
         .body_deadline = milliseconds(50)});
  Client silent(port());
  EXPECT_TRUE(silent.EndsSilently());
  Client slow_head(port());
  slow_head.Send("GET /hello HTTP/1.1\r\nhost: loc");
  EXPECT_TRUE(slow_head.EndsSilently());
  // A deadline for the whole head: bytes that trickle don't move it.
  Client trickling(port());
  const std::string_view endless = "GET /hello HTTP/1.1\r\nx: xxxxxxxx";
  for (std::size_t i = 0; !testing::Test::HasFailure(); ++i) {
    const std::string byte(1, i < endless.size() ? endless[i] : 'x');
    if (::send(trickling.fd(), byte.data(), 1, MSG_NOSIGNAL) < 0) break;
    pollfd wait{.fd = trickling.fd(), .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, 2) > 0) break;
    ASSERT_LT(i, 10'000u);
  }
  EXPECT_TRUE(trickling.EndsSilently());
  Client idle(port());
  EXPECT_EQ(idle.Ask({.path = "/hello"}).body, "hello");
  EXPECT_TRUE(idle.EndsSilently());
  for (const char* what : {"POST /echo", "PUT /upload"}) {
    Client slow_body(port());
    slow_body.Send(Head(what, "content-length: 5\r\n") + "ab");
    EXPECT_TRUE(slow_body.EndsSilently());
  }
  EXPECT_TRUE(Responds());
}

TEST_F(HostileTest, AClientThatTakesNothingIsCut) {
  Start({.write_deadline = milliseconds(50)});
  Client client(port());
  client.Send(ToBytes({.path = "/endless"}));
  EXPECT_EQ(client.ReadHead().status, 200);
  Client witness(port());
  EXPECT_EQ(witness.Ask({.path = "/hello"}).status, 200);
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (server_->Connections() > 1 && std::chrono::steady_clock::now() < end) {
    EXPECT_EQ(witness.Ask({.path = "/hello"}).status, 200);
  }
  EXPECT_EQ(server_->Connections(), 1u);
  // It was asked for no more than fits into the sockets' buffers.
  EXPECT_LT(pulls_, 1000);
}

TEST_F(HostileTest, BadJsonIsRefusedWithItsPlace) {
  Start();
  const auto ask = [&](std::string body) {
    const Answer answer = Ask({.method = "POST", .path = "/echo", .body = std::move(body)});
    EXPECT_EQ(answer.status, 400);
    return json::parse(answer.body)["error"];
  };
  EXPECT_EQ(ask("{\n \"a\": }")["where"], "2:7");
  EXPECT_EQ(ask(std::string(60'000, '['))["where"], "1:65");
  EXPECT_EQ(ask("\"\xff\"")["code"], "invalid");
  EXPECT_EQ(ask("\"\xed\xa0\x80\"")["code"], "invalid");
}

TEST_F(HostileTest, TooManyConnectionsAreTurnedAwayUntilSomeLeave) {
  Start({.connections_max = 10});
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(std::make_unique<Client>(port()));
    EXPECT_EQ(clients.back()->Ask({.path = "/hello"}).status, 200);
  }
  EXPECT_EQ(AskRaw("").status, 503);
  clients.clear();
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (server_->Connections() > 0 && std::chrono::steady_clock::now() < end) continue;
  EXPECT_TRUE(Responds());
}

TEST_F(HostileTest, AThousandIdleConnectionsCostLittle) {
  Start({.connections_max = 2000});
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 1000; ++i) {
    clients.push_back(std::make_unique<Client>(port()));
    if (i % 2 == 0) clients.back()->Send("GET /hello HTTP/1.1\r\nx: ");
  }
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(Responds());
  EXPECT_GE(server_->Connections(), 1000u);
  EXPECT_EQ(clients[501]->Ask({.path = "/hello"}).body, "hello");
  clients[500]->Send("y\r\nhost: localhost\r\nauthorization: Bearer " + std::string(kTestToken) +
                     "\r\n\r\n");
  EXPECT_EQ(clients[500]->Read().body, "hello");
}

}  // namespace
}  // namespace tutti::http
