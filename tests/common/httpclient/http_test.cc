#include "common/httpclient/http.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>
#include <stop_token>
#include <thread>

#include "common/httpclient/stop_descriptor.h"
#include "tests/common/httpclient/fake_server.h"
#include "tests/common/tls/tls_front.h"

namespace tutti::httpclient {
namespace {

using testing::HasSubstr;

Url UrlOf(const std::string& text) {
  const auto url = ParseUrl(text);
  EXPECT_TRUE(url.has_value()) << text;
  return url.value_or(Url{});
}

TEST(ParseUrl, TakesHostPortAndPrefix) {
  EXPECT_EQ(UrlOf("http://127.0.0.1:7717").ToString(), "http://127.0.0.1:7717");
  EXPECT_EQ(UrlOf("http://[::1]:80/a/").ToString(), "http://[::1]:80/a");
  EXPECT_EQ(UrlOf("http://host").port, "80");
  EXPECT_EQ(UrlOf("https://host").port, "443");
  EXPECT_EQ(UrlOf("https://host:7/a").ToString(), "https://host:7/a");
}

TEST(ParseUrl, RefusesWhatItCannotReach) {
  for (const char* bad :
       {"", "ftp://x:1", "https://", "127.0.0.1:7717", "http://", "http://h:", "http://h:x",
        "http://[::1", "http://a b:1", "http://u@h:1", "http://h:123456"}) {
    EXPECT_EQ(ParseUrl(bad).error().code, ErrorCode::kInvalid) << bad;
  }
}

TEST(ParseUrl, KnowsThisMachine) {
  EXPECT_TRUE(IsLoopback(UrlOf("http://127.0.0.1:1")));
  EXPECT_TRUE(IsLoopback(UrlOf("http://[::1]:1")));
  EXPECT_FALSE(IsLoopback(UrlOf("http://10.0.0.1:1")));
}

TEST(EncodeSegment, LeavesNothingThatEndsASegment) {
  EXPECT_EQ(EncodeSegment("ft:a/b c?"), "ft%3Aa%2Fb%20c%3F");
}

TEST(Send, SendsHeadersAndBodyAndReadsTheAnswer) {
  FakeServer server([](const Seen& seen) {
    return FakeServer::Answer(201, "text/plain", seen.method + seen.target + seen.body);
  });
  const auto response =
      Send(UrlOf(server.url()),
           {.method = "POST", .target = "/a?b=1", .headers = {{"X-One", "1"}}, .body = "hello"});
  ASSERT_TRUE(response.has_value()) << response.error().ToString();
  EXPECT_EQ(response->status, 201);
  EXPECT_EQ(response->body, "POST/a?b=1hello");
  EXPECT_EQ(response->Header("content-type"), "text/plain");
  EXPECT_EQ(server.seen().at(0).headers.at("x-one"), "1");
}

TEST(Send, ReadsChunkedAnswersAndThoseThatEndWithTheConnection) {
  FakeServer server([](const Seen& seen) -> std::string {
    if (seen.target == "/chunked") {
      return "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
             "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    }
    return FakeServer::Stream("fghij");
  });
  EXPECT_EQ(Send(UrlOf(server.url()), {.target = "/chunked"}).value().body, "abcde");
  EXPECT_EQ(Send(UrlOf(server.url()), {.target = "/close"}).value().body, "fghij");
}

TEST(Send, StreamsAFileAsBody) {
  const std::string path = testing::TempDir() + "/body-" + std::to_string(::getpid());
  const std::string content(300'000, 'x');
  std::ofstream(path) << content;
  FakeServer server(
      [](const Seen& seen) { return FakeServer::Json(std::to_string(seen.body.size())); });
  const auto response =
      Send(UrlOf(server.url()), {.method = "PUT", .target = "/f", .body_file = path});
  ::unlink(path.c_str());
  ASSERT_TRUE(response.has_value()) << response.error().ToString();
  EXPECT_EQ(response->body, "300000");
}

TEST(Send, AHeadAnswerHasNoBody) {
  FakeServer server(
      [](const Seen&) -> std::string { return "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n"; });
  const auto response = Send(UrlOf(server.url()), {.method = "HEAD", .target = "/x"});
  ASSERT_TRUE(response.has_value()) << response.error().ToString();
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, "");
}

TEST(Send, ACutAnswerIsAnError) {
  FakeServer server([](const Seen&) -> std::string {
    return "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf";
  });
  EXPECT_EQ(Send(UrlOf(server.url()), {.target = "/x"}).error().code, ErrorCode::kUnavailable);
}

TEST(Send, NobodyThereIsUnavailableAndNamesTheAddress) {
  std::string url;
  {
    FakeServer server([](const Seen&) { return std::string(); });
    url = server.url();
  }
  const auto response = Send(UrlOf(url), {.target = "/x"});
  EXPECT_EQ(response.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(response.error().ToString(), HasSubstr(url));
}

// A listening socket on a free port of 127.0.0.1, and its address.
std::pair<UniqueFd, Url> Listen(const std::string& scheme) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::listen(fd.get(), 8), 0);
  socklen_t size = sizeof address;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return {std::move(fd), UrlOf(scheme + "://127.0.0.1:" + std::to_string(ntohs(address.sin_port)))};
}

TEST(Send, ConnectsToTheAddressThatTheCallerResolved) {
  FakeServer server([](const Seen& seen) { return FakeServer::Json(seen.headers.at("host")); });
  Url url = UrlOf(server.url());
  url.host = "no-such-host.invalid";
  const auto answer = Send(url, {.address = "127.0.0.1"});
  ASSERT_TRUE(answer) << answer.error().ToString();
  EXPECT_EQ(answer->body, "no-such-host.invalid:" + url.port);
  EXPECT_FALSE(Send(UrlOf(server.url()), {.address = "localhost"}));  // a name is none
}

TEST(Send, SilenceEndsAtTheDeadline) {
  const auto [listener, url] = Listen("http");  // nobody accepts
  const auto response = Send(url, {.target = "/x", .timeout = std::chrono::milliseconds(50)});
  EXPECT_EQ(response.error().code, ErrorCode::kTimeout);
}

TEST(Send, ARequestToStopEndsTheWait) {
  const auto [listener, url] = Listen("http");  // nobody accepts
  std::stop_source source;
  const StopDescriptor stopped(source.get_token());
  std::thread elsewhere([&source] { source.request_stop(); });
  const auto response = Send(url, {.target = "/x", .stop_fd = stopped.fd()});
  elsewhere.join();
  ASSERT_FALSE(response.has_value());
  EXPECT_EQ(response.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(response.error().message, "interrupted");
}

class SendTls : public testing::Test {
 protected:
  SendTls() {
    std::string pattern = testing::TempDir() + "tls-XXXXXX";
    dir_ = ::mkdtemp(pattern.data());
  }
  ~SendTls() override { std::filesystem::remove_all(dir_); }

  tls::Identity Make(const char* folder) {
    const std::vector<std::string> names = {"127.0.0.1"};
    return tls::LoadOrMakeIdentity(dir_ / folder, names).value();
  }
  Url UrlTo(const tls::TlsFront& front, tls::Trust trust) {
    Url url = UrlOf(front.url());
    url.trust = std::move(trust);
    return url;
  }

  std::filesystem::path dir_;
  FakeServer server_{
      [](const Seen& seen) { return FakeServer::Answer(200, "text/plain", seen.body); }};
};

TEST_F(SendTls, CarriesLargeBodiesBothWaysToTheServerThatIsPinnedOrVouchedFor) {
  const tls::TlsFront front(Make("a"), server_.port());
  const std::string body(1'000'000, 'x');
  for (const tls::Trust& trust :
       {tls::Trust{.pin = front.identity().pin}, tls::Trust{.ca_file = dir_ / "a/cert.pem"}}) {
    const auto response =
        Send(UrlTo(front, trust), {.method = "POST", .target = "/", .body = body});
    ASSERT_TRUE(response.has_value()) << response.error().ToString();
    EXPECT_EQ(response->body, body);
  }
}

TEST_F(SendTls, SendsNothingToAServerThatIsNotBelieved) {
  const tls::TlsFront front(Make("a"), server_.port());
  const std::string other = Make("b").pin;
  for (const tls::Trust& trust : {tls::Trust{.pin = other}, tls::Trust{}}) {
    const auto response =
        Send(UrlTo(front, trust), {.target = "/", .headers = {{"Authorization", "Bearer secret"}}});
    ASSERT_FALSE(response.has_value());
    EXPECT_EQ(response.error().code, ErrorCode::kAuth);
    EXPECT_EQ(response.error().where, front.url());
    EXPECT_THAT(response.error().message, HasSubstr(front.identity().pin));
  }
  EXPECT_TRUE(server_.seen().empty());
}

TEST_F(SendTls, APlainServerIsSaidToBeOne) {
  const auto [listener, url] = Listen("https");
  std::thread plain([fd = listener.get()] {
    const UniqueFd connection(::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC));
    char hello[4096];
    EXPECT_GT(::recv(connection.get(), hello, sizeof hello, 0), 0);
    const std::string_view answer = "HTTP/1.1 400 Bad Request\r\n\r\n";
    EXPECT_GT(::send(connection.get(), answer.data(), answer.size(), MSG_NOSIGNAL), 0);
  });
  const auto response = Send(url, {.target = "/"});
  plain.join();
  ASSERT_FALSE(response.has_value());
  EXPECT_EQ(response.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(response.error().message, HasSubstr("does not speak TLS"));
}

TEST_F(SendTls, ASilentHandshakeEndsAtTheDeadline) {
  const auto [listener, url] = Listen("https");  // nobody accepts
  const auto response = Send(url, {.target = "/x", .timeout = std::chrono::milliseconds(50)});
  EXPECT_EQ(response.error().code, ErrorCode::kTimeout);
}

}  // namespace
}  // namespace tutti::httpclient
