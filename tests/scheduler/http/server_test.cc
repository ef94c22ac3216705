#include "scheduler/http/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "tests/scheduler/http/server_fixture.h"

namespace tutti::http {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class ServerTest : public ServerFixture {
 protected:
  void SetUp() override {
    ServerFixture::SetUp();
    Start();
  }
};

TEST_F(ServerTest, AConnectionServesManyRequests) {
  Client client(port());
  for (int i = 0; i < 20; ++i) {
    const Answer answer = client.Ask({.path = i % 2 == 0 ? "/hello" : "/pool"});
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, i % 2 == 0 ? "hello" : "from the pool");
    EXPECT_EQ(answer.Header("connection"), "(none)");
    EXPECT_THAT(answer.Header("x-request-id"), testing::StartsWith("req-"));
    EXPECT_EQ(answer.Header("x-content-type-options"), "nosniff");
    EXPECT_EQ(answer.Header("cache-control"), "no-store");
  }
  EXPECT_EQ(client.Ask({.method = "DELETE", .path = "/hello"}).status, 204);
  EXPECT_EQ(client.Ask({.path = "/hello"}).body, "hello");
  EXPECT_THAT(MetricsText(),
              HasSubstr(R"(tutti_http_requests_total{code="200",method="GET",route="/pool"} 10)"));
}

TEST_F(ServerTest, PipelinedRequestsAreAnsweredInOrder) {
  Client client(port());
  client.Send(ToBytes({.path = "/hello"}) + ToBytes({.path = "/pool"}) +
              ToBytes({.method = "POST", .path = "/echo", .body = "[1]"}) +
              ToBytes({.path = "/file"}));
  EXPECT_EQ(client.Read().body, "hello");
  EXPECT_EQ(client.Read().body, "from the pool");
  EXPECT_EQ(json::parse(client.Read().body)["got"], json::array({1}));
  EXPECT_EQ(client.Read().body, kFileText);
}

TEST_F(ServerTest, CloseAndHttp10EndTheConnection) {
  Client client(port());
  const Answer answer = client.Ask({.path = "/hello", .headers = {{"connection", "close"}}});
  EXPECT_EQ(answer.Header("connection"), "close");
  EXPECT_TRUE(client.EndsSilently());
  Client old(port());
  old.Send("GET /healthz HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.Read().body, "ok");
  EXPECT_TRUE(old.EndsSilently());
  Client kept(port());
  kept.Send("GET /healthz HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
  EXPECT_EQ(kept.Read().Header("connection"), "keep-alive");
  EXPECT_EQ(kept.Ask({.path = "/hello"}).body, "hello");
}

TEST_F(ServerTest, BodiesComeWithALengthOrInChunks) {
  const json expected = {{"got", {{"a", "ä"}}}, {"user", "local"}, {"loopback", true}};
  EXPECT_EQ(json::parse(Ask({.method = "POST", .path = "/echo", .body = R"({"a": "ä"})"}).body),
            expected);
  Client client(port());
  const std::string head = "POST /echo HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer " +
                           std::string(kTestToken) + "\r\ntransfer-encoding: chunked\r\n\r\n";
  for (const char* chunks :
       {"a\r\n{\"a\": \"\xc3\xa4\"\r\n1\r\n}\r\n0\r\n\r\n",
        "1;name=value\r\n{\r\n9\r\n\"a\": \"\xc3\xa4\"\r\n1\r\n}\r\n0\r\nx: y\r\n\r\n"}) {
    client.Send(head + chunks);
    EXPECT_EQ(json::parse(client.Read().body), expected);
  }
  EXPECT_EQ(json::parse(client.Ask({.method = "POST", .path = "/echo"}).body)["got"], "nothing");
}

TEST_F(ServerTest, ABodyOfARouteThatTakesNoneIsDropped) {
  Client client(port());
  EXPECT_EQ(client.Ask({.path = "/hello", .body = "whatever"}).body, "hello");
  EXPECT_EQ(client.Ask({.path = "/hello"}).body, "hello");
  EXPECT_EQ(client.Ask({.path = "/hello", .body = std::string(5000, 'x')}).status, 413);
}

TEST_F(ServerTest, UploadsAreDigestedOnTheirWayToDisk) {
  const std::string content(std::size_t{300'000}, 'u');
  const Answer answer = Ask({.method = "PUT", .path = "/upload", .body = content});
  EXPECT_EQ(answer.status, 201);
  EXPECT_EQ(json::parse(answer.body),
            (json{{"size", content.size()}, {"digest", Sha256Of(content).ToString()}}));
  EXPECT_EQ(json::parse(Ask({.method = "PUT", .path = "/upload"}).body)["digest"],
            Sha256Of("").ToString());
}

TEST_F(ServerTest, ContinueIsSaidWhenABodyIsWelcome) {
  Client client(port());
  const std::string head = "PUT /upload HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer " +
                           std::string(kTestToken) + "\r\nexpect: 100-continue\r\n";
  client.Send(head + "content-length: 3\r\n\r\n");
  EXPECT_EQ(client.Read().status, 100);
  client.Send("abc");
  EXPECT_EQ(json::parse(client.Read().body)["size"], 3);
  client.Send(head + "content-length: 3000000\r\n\r\n");
  EXPECT_EQ(client.Read().status, 413);
}

TEST_F(ServerTest, HeadHasTheHeadersAndNoBody) {
  Client client(port());
  for (const char* path : {"/hello", "/file"}) {
    const Answer head = client.Ask({.method = "HEAD", .path = path});
    const Answer get = client.Ask({.path = path});
    EXPECT_EQ(head.status, 200);
    EXPECT_EQ(head.Header("content-length"), std::to_string(get.body.size()));
    EXPECT_EQ(head.Header("content-type"), get.Header("content-type"));
  }
  const Answer ranged =
      client.Ask({.method = "HEAD", .path = "/file", .headers = {{"range", "bytes=0-1"}}});
  EXPECT_EQ(ranged.status, 200);
  EXPECT_EQ(client.Ask({.method = "HEAD", .path = "/nothing"}).status, 404);
  EXPECT_EQ(client.Ask({.path = "/hello"}).body, "hello");
}

TEST_F(ServerTest, FilesComeInRanges) {
  Client client(port());
  const auto ask = [&](Fields headers) {
    return client.Ask({.path = "/file", .headers = std::move(headers)});
  };
  const Answer whole = ask({});
  EXPECT_EQ(whole.body, kFileText);
  EXPECT_EQ(whole.Header("accept-ranges"), "bytes");
  const Answer part = ask({{"range", "bytes=4-7"}});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, "4567");
  EXPECT_EQ(part.Header("content-range"), "bytes 4-7/16");
  EXPECT_EQ(ask({{"range", "bytes=-2"}}).body, "ef");
  EXPECT_EQ(ask({{"range", "bytes=0-0"}}).body, "0");
  const Answer beyond = ask({{"range", "bytes=16-"}});
  EXPECT_EQ(beyond.status, 416);
  EXPECT_EQ(beyond.Header("content-range"), "bytes */16");
  EXPECT_EQ(ask({{"range", "bytes=0-1,3-4"}}).status, 200);
  EXPECT_EQ(ask({{"range", "bytes=4-7"}, {"if-range", "\"tag\""}}).body, "4567");
  EXPECT_EQ(ask({{"range", "bytes=4-7"}, {"if-range", "\"other\""}}).body, kFileText);
}

TEST_F(ServerTest, AFileTheClientHasIsNotSentAgain) {
  Client client(port());
  for (const char* tags : {"\"tag\"", "W/\"tag\"", "\"a\", \"tag\"", "*"}) {
    const Answer answer = client.Ask({.path = "/file", .headers = {{"if-none-match", tags}}});
    EXPECT_EQ(answer.status, 304) << tags;
    EXPECT_EQ(answer.Header("etag"), "\"tag\"");
  }
  for (const char* tags : {"\"other\"", "tag", ""}) {
    EXPECT_EQ(client.Ask({.path = "/file", .headers = {{"if-none-match", tags}}}).body, kFileText)
        << tags;
  }
}

TEST_F(ServerTest, PathsAndQueriesAreDecodedOnce) {
  Client client(port());
  const json got = json::parse(client.Ask({.path = "/two/a%2Fb/%2525?q=x+y%26z&empty&q=2"}).body);
  EXPECT_EQ(got["params"], (Fields{{"a", "a/b"}, {"b", "%25"}}));
  EXPECT_EQ(got["query"], (Fields{{"q", "x y&z"}, {"empty", ""}, {"q", "2"}}));
  EXPECT_EQ(json::parse(client.Ask({.path = "/tree/a/b%20c"}).body)["params"],
            (Fields{{"path", "a/b c"}}));
  for (const char* path : {"/two/%/x", "/two/%zz/x", "/two/%ff/x", "/two/%00/x", "/two/a/../b",
                           "/tree/%2e%2e/x", "/tree/a%2fb", "/hello?a=%"}) {
    EXPECT_EQ(Ask({.path = path}).status, 400) << path;
  }
}

TEST_F(ServerTest, UnknownPathsAndMethodsAreNamed) {
  EXPECT_EQ(Ask({.path = "/nothing"}).status, 404);
  const Answer answer = Ask({.method = "POST", .path = "/hello"});
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.Header("allow"), "GET, DELETE");
  EXPECT_EQ(Ask({.method = "BREW", .path = "/hello"}).status, 400);
  EXPECT_EQ(Ask({.path = "http://localhost/hello"}).status, 400);
  EXPECT_THAT(
      MetricsText(),
      HasSubstr(R"(tutti_http_requests_total{code="404",method="GET",route="unmatched"} 1)"));
}

TEST_F(ServerTest, EveryRouteNeedsTheTokenButTheOpenOnes) {
  for (const char* path : {"/hello", "/file", "/events", "/pool"}) {
    for (const char* token : {"", "wrong", "token-for-tests-012345678"}) {
      const Answer answer = Ask({.path = path, .token = token});
      EXPECT_EQ(answer.status, 401) << path;
      EXPECT_EQ(answer.Header("www-authenticate"), "Bearer");
      EXPECT_EQ(json::parse(answer.body)["error"]["code"], "auth");
    }
  }
  EXPECT_EQ(Ask({.method = "PUT", .path = "/upload", .body = "x", .token = "wrong"}).status, 401);
  EXPECT_EQ(Ask({.path = "/healthz", .token = ""}).body, "ok");
  EXPECT_EQ(Ask({.path = "/metrics", .token = ""}).body, "metrics");
  EXPECT_THAT(MetricsText(), HasSubstr(R"(tutti_auth_failures_total{reason="missing"} 4)"));
  EXPECT_THAT(MetricsText(), HasSubstr(R"(tutti_auth_failures_total{reason="unknown"} 9)"));
}

TEST_F(ServerTest, WrongTokensAreSlowedDownAndRightOnesAreNot) {
  Answer answer;
  int refused = 0;
  while ((answer = Ask({.path = "/hello", .token = "wrong"})).status == 401) {
    ASSERT_LE(++refused, 10 * static_cast<int>(FailureLimit::kBurst));
  }
  EXPECT_GE(refused, static_cast<int>(FailureLimit::kBurst));
  EXPECT_EQ(answer.status, 429);
  EXPECT_GE(std::stoi(answer.Header("retry-after")), 1);
  EXPECT_EQ(json::parse(answer.body)["error"]["code"], "quota");
  EXPECT_EQ(Ask({.path = "/hello"}).status, 200);
  EXPECT_THAT(MetricsText(), HasSubstr(R"(tutti_auth_failures_total{reason="limited"} 1)"));
}

TEST_F(ServerTest, ATokenOfALowerScopeIsToldWhichIsMissing) {
  auth_.tokens().Put({.id = "t-viewer",
                      .sha256 = Sha256Of("a-viewers-token"),
                      .caller = {.user = "ana", .scope = Scope::kViewer}});
  const Answer answer =
      Ask({.method = "PUT", .path = "/upload", .body = "x", .token = "a-viewers-token"});
  EXPECT_EQ(answer.status, 403);
  EXPECT_THAT(answer.body, HasSubstr("viewer"));
  EXPECT_THAT(answer.body, HasSubstr("tutti token create --scope admin"));
  auth_.tokens().Remove("t-viewer");
  EXPECT_EQ(Ask({.path = "/healthz", .token = "a-viewers-token"}).status, 200);
  EXPECT_EQ(Ask({.path = "/hello", .token = "a-viewers-token"}).status, 401);
}

TEST_F(ServerTest, OtherHostsAndPagesOfOthersAreRefused) {
  for (const char* path : {"/hello", "/healthz"}) {
    EXPECT_EQ(Ask({.path = path, .headers = {{"host", "evil.example"}}}).status, 403);
    EXPECT_EQ(Ask({.path = path, .headers = {{"origin", "http://evil.example"}}}).status, 403);
    EXPECT_EQ(Ask({.path = path, .headers = {{"origin", "null"}}}).status, 403);
    EXPECT_EQ(Ask({.path = path, .headers = {{"host", "tutti.example"}}}).status, 200);
    EXPECT_EQ(Ask({.path = path, .headers = {{"origin", "http://localhost:1"}}}).status, 200);
  }
}

TEST_F(ServerTest, AnswersMayComeLaterAndFromAnyThread) {
  Client client(port());
  client.Send(ToBytes({.path = "/later"}));
  std::thread([responder = kept_.Take()] {
    EXPECT_TRUE(responder.Send(Text(200, "late")));
    EXPECT_FALSE(responder.Send(Text(200, "again")));
  }).join();
  EXPECT_EQ(client.Read().body, "late");
  EXPECT_EQ(client.Ask({.path = "/hello"}).body, "hello");
}

TEST_F(ServerTest, AHandlerThatThrowsOrForgetsAnswers500) {
  Client client(port());
  for (const char* path : {"/throws", "/silent"}) {
    const Answer answer = client.Ask({.path = path});
    EXPECT_EQ(answer.status, 500) << path;
    EXPECT_THAT(answer.body, testing::Not(HasSubstr("a bug")));
  }
  EXPECT_EQ(client.Ask({.path = "/hello"}).body, "hello");
}

TEST_F(ServerTest, AClientThatLeftIsForgotten) {
  {
    Client client(port());
    client.Send(ToBytes({.path = "/later"}));
    Responder responder = kept_.Take();
    client.Close();
    EXPECT_TRUE(responder.Send(Text(200, std::string(std::size_t{1} << 20, 'x'))));
  }
  EXPECT_TRUE(Responds());
}

TEST_F(ServerTest, StopAnswersWhatIsUnderWayAndEndsTheRest) {
  Client idle(port());
  EXPECT_EQ(idle.Ask({.path = "/hello"}).body, "hello");
  Client streaming(port());
  streaming.Send(ToBytes({.path = "/events"}));
  EXPECT_EQ(streaming.ReadHead().status, 200);
  hub_.Publish({.seq = 1, .type = "started", .data = "{}"});
  EXPECT_THAT(streaming.ReadChunk().value_or(""), HasSubstr("event: started"));
  Client waiting(port());
  waiting.Send(ToBytes({.path = "/later"}));
  const Responder responder = kept_.Take();

  std::thread stopper([&] { server_->Stop(kPatience); });
  EXPECT_TRUE(idle.EndsSilently());
  EXPECT_EQ(streaming.ReadChunk().value_or("cut"), "") << "a stream gets its end";
  EXPECT_TRUE(responder.Send(Text(200, "after all")));
  const Answer answer = waiting.Read();
  EXPECT_EQ(answer.body, "after all");
  EXPECT_EQ(answer.Header("connection"), "close");
  waiting.Close();
  streaming.Close();
  stopper.join();
  EXPECT_EQ(server_->Connections(), 0u);
  EXPECT_EQ(hub_.Subscribers(), 0u);
}

TEST_F(ServerTest, StopCutsWhatTakesTooLong) {
  Client waiting(port());
  waiting.Send(ToBytes({.path = "/later"}));
  const Responder responder = kept_.Take();
  server_->Stop(std::chrono::milliseconds(1));
  EXPECT_EQ(waiting.Read().status, 0);
  EXPECT_TRUE(responder.Send(Text(200, "too late")));
}

TEST_F(ServerTest, WithoutACertificateOnlyThisMachineIsServed) {
  Router router;
  for (const char* host : {"0.0.0.0", "::", "192.0.2.1"}) {
    EXPECT_EQ(Server::Start({.host = host}, router, auth_).error().code, ErrorCode::kInvalid)
        << host;
  }
  EXPECT_EQ(Server::Start({.host = "example"}, router, auth_).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(Server::Start({.port = port()}, router, auth_).error().code, ErrorCode::kConflict);
  EXPECT_EQ(server_->Url(), "http://127.0.0.1:" + std::to_string(port()));
}

}  // namespace
}  // namespace tutti::http
