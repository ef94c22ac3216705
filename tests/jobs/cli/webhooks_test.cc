// `tutti webhook` against an HTTP server that answers as docs/formats/http-api.md says.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "with_server.h"

namespace tutti::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class WebhookCommands : public WithServer {
 protected:
  static json Hook() {
    return {{"id", "h-00000001"},
            {"name", "chat"},
            {"url", "https://a.example/x"},
            {"on", {"failed"}},
            {"user", "ana"},
            {"created_at", "2026-02-03T04:05:06.000Z"},
            {"secret", "whsec_a"},
            {"waiting", 2},
            {"given_up", 1},
            {"last",
             {{"at", "2026-02-03T04:05:06.000Z"},
              {"took_ms", 12},
              {"status", 404},
              {"error", "it answered 404"}}}};
  }
};

TEST_F(WebhookCommands, CreatePrintsTheSecretAlone) {
  json asked;
  routes_["POST /api/v1/webhooks"] = [&](const Seen& seen) {
    asked = json::parse(seen.body);
    return FakeServer::Json(Hook().dump(), 201);
  };
  const Ran ran = Run({"webhook", "create", "https://a.example/x", "--on", "failed,succeeded"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out, "whsec_a\n");
  EXPECT_THAT(ran.err, HasSubstr("tutti webhook test h-00000001"));
  EXPECT_EQ(asked, json({{"url", "https://a.example/x"}, {"on", {"failed", "succeeded"}}}));
}

TEST_F(WebhookCommands, ListShowsHowTheLastTryWent) {
  routes_["GET /api/v1/webhooks"] = [](const Seen&) {
    return FakeServer::Json(json{{"data", {Hook()}}}.dump());
  };
  const Ran ran = Run({"webhook", "list"});
  EXPECT_THAT(ran.out, HasSubstr("h-00000001"));
  EXPECT_THAT(ran.out, HasSubstr("ago: it answered 404"));
  EXPECT_EQ(Run({"webhook", "list", "-q"}).out, "h-00000001\n");
}

TEST_F(WebhookCommands, DeleteGoesOnAfterAnError) {
  routes_["DELETE /api/v1/webhooks/h-00000001"] = [](const Seen&) {
    return FakeServer::Json(Hook().dump());
  };
  const Ran ran = Run({"webhook", "delete", "nothing", "h-00000001"});
  EXPECT_EQ(ran.exit, 5);
  EXPECT_THAT(ran.err, HasSubstr("no such thing"));
  EXPECT_THAT(ran.err, HasSubstr("h-00000001 is deleted"));
}

TEST_F(WebhookCommands, TestSaysWhatTheReceiverAnswered) {
  json answer = {
      {"at", "2026-02-03T04:05:06.000Z"}, {"took_ms", 7}, {"status", 200}, {"error", nullptr}};
  routes_["POST /api/v1/webhooks/chat/test"] = [&](const Seen&) {
    return FakeServer::Json(answer.dump());
  };
  const Ran good = Run({"webhook", "test", "chat"});
  EXPECT_EQ(good.exit, 0);
  EXPECT_THAT(good.err, HasSubstr("it answered 200 after 7 ms"));
  answer["status"] = 404;
  answer["error"] = "it answered 404";
  const Ran bad = Run({"webhook", "test", "chat"});
  EXPECT_EQ(bad.exit, 1);
  EXPECT_THAT(bad.err, HasSubstr("it answered 404"));
}

TEST_F(WebhookCommands, SecretIsOfTheCallersOwnJobs) {
  routes_["GET /api/v1/webhooks/secret"] = [](const Seen&) {
    return FakeServer::Json(R"({"user": "ana", "secret": "whsec_b"})");
  };
  EXPECT_EQ(Run({"webhook", "secret"}).out, "whsec_b\n");
}

}  // namespace
}  // namespace tutti::cli
