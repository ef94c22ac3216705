#include "jobs/client/api.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/common/httpclient/fake_server.h"

namespace tutti::client {
namespace {

using httpclient::FakeServer;
using httpclient::Seen;
using nlohmann::json;

Environment Nothing() {
  return [](const std::string& name) -> std::optional<std::string> {
    if (name == "TUTTI_TOKEN") return "secret";
    return std::nullopt;
  };
}

TEST(Errors, ReadsTheObjectAndTheList) {
  const auto one = ErrorsOf(
      {.status = 422,
       .body = R"({"error": {"code": "invalid", "message": "m", "where": "w", "hint": "h"}})",
       .headers = {}},
      "/x");
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0], (Error{ErrorCode::kInvalid, "m", "w", "h"}));
  const auto two = ErrorsOf({.status = 422,
                             .body = R"({"error": {"code": "invalid", "message": "a"},
                                        "errors": [{"code": "invalid", "message": "a"},
                                                   {"code": "quota", "message": "b"}]})",
                             .headers = {}},
                            "/x");
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(two[1].code, ErrorCode::kQuota);
}

TEST(Errors, AStatusWithoutABodyStillSaysWhatToDo) {
  EXPECT_EQ(ErrorsOf({.status = 404, .body = "", .headers = {}}, "/x")[0].code,
            ErrorCode::kNotFound);
  EXPECT_EQ(ErrorsOf({.status = 507, .body = "no", .headers = {}}, "/x")[0].code,
            ErrorCode::kDiskFull);
  const Error auth = ErrorsOf({.status = 401, .body = "{}", .headers = {}}, "/x")[0];
  EXPECT_EQ(auth.code, ErrorCode::kAuth);
  EXPECT_NE(auth.hint, "");
}

TEST(Client, SendsTheTokenAndTheIdempotencyKey) {
  FakeServer server([](const Seen&) { return FakeServer::Json(R"({"id": "j-1"})", 201); });
  Client client({.url = server.url()}, Nothing());
  const auto job = client.Post("/api/v1/jobs", json{{"a", 1}}, {.idempotency_key = "k"});
  ASSERT_TRUE(job.has_value());
  EXPECT_EQ(job->at("id"), "j-1");
  const Seen seen = server.seen().at(0);
  EXPECT_EQ(seen.headers.at("authorization"), "Bearer secret");
  EXPECT_EQ(seen.headers.at("idempotency-key"), "k");
  EXPECT_EQ(json::parse(seen.body), (json{{"a", 1}}));
}

TEST(Client, TriesAgainWithTheSameKeyWhileUnavailable) {
  int calls = 0;
  FakeServer server([&calls](const Seen&) {
    return ++calls < 3 ? FakeServer::Json("{}", 503) : FakeServer::Json(R"({"ok": true})");
  });
  Client client({.url = server.url()}, Nothing());
  const auto job = client.Post("/api/v1/jobs", json::object(),
                               {.retry_for = std::chrono::seconds(20), .idempotency_key = "k"});
  ASSERT_TRUE(job.has_value());
  EXPECT_EQ(server.seen().size(), 3u);
  EXPECT_EQ(server.seen()[2].headers.at("idempotency-key"), "k");
}

TEST(Client, OtherErrorsAreNotTriedAgain) {
  FakeServer server([](const Seen&) { return FakeServer::Json("{}", 409); });
  Client client({.url = server.url()}, Nothing());
  const auto job = client.Get("/x", {.retry_for = std::chrono::seconds(20)});
  EXPECT_EQ(job.error().at(0).code, ErrorCode::kConflict);
  EXPECT_EQ(server.seen().size(), 1u);
}

TEST(Client, AnAnswerThatIsNoJsonIsAnError) {
  FakeServer server([](const Seen&) { return FakeServer::Answer(200, "text/html", "<html>"); });
  Client client({.url = server.url()}, Nothing());
  EXPECT_EQ(client.Get("/x").error().at(0).code, ErrorCode::kInternal);
}

TEST(Targets, EncodeNames) {
  EXPECT_EQ(JobTarget("a b", "/cancel"), "/api/v1/jobs/a%20b/cancel");
  EXPECT_EQ(ModelTarget("ft:x/y"), "/api/v1/models/ft%3Ax%2Fy");
}

TEST(Backoff, DoublesUpToItsBound) {
  Backoff backoff(std::chrono::milliseconds(350));
  EXPECT_EQ(backoff.Next(), std::chrono::milliseconds(100));
  EXPECT_EQ(backoff.Next(), std::chrono::milliseconds(200));
  EXPECT_EQ(backoff.Next(), std::chrono::milliseconds(350));
  EXPECT_EQ(backoff.Next(), std::chrono::milliseconds(350));
  backoff.Reset();
  EXPECT_EQ(backoff.Next(), std::chrono::milliseconds(100));
}

}  // namespace
}  // namespace tutti::client
