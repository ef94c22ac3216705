// The program's side of the dashboard: pages, signing in, and what only pages ask for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/digest/sha256.h"
#include "process.h"

namespace tutti::coordinator {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class UserInterface : public testing::Test {
 protected:
  using Headers = std::vector<std::pair<std::string, std::string>>;

  ScratchFolder scratch;
  CoordinatorProcess coordinator{scratch.path() / "data"};

  void SetUp() override { ASSERT_TRUE(coordinator.Start()) << coordinator.log(); }

  // As a browser asks: without a token.
  httpclient::Response Browse(const std::string& target, Headers headers = {},
                              const std::string& method = "GET", const std::string& body = "") {
    const auto url = httpclient::ParseUrl(coordinator.url());
    headers.emplace_back("Content-Type", "application/json");
    auto response = httpclient::Send(
        *url, {.method = method, .target = target, .headers = std::move(headers), .body = body});
    EXPECT_TRUE(response) << target;
    return response ? *std::move(response) : httpclient::Response{};
  }
  // A session's cookie, as a browser sends it back.
  std::string SignIn() {
    const json ticket = coordinator.Post("/api/v1/ui/tickets").body;
    const std::string set = Browse(ticket["path"]).Header("set-cookie");
    EXPECT_THAT(set, HasSubstr("; HttpOnly; SameSite=Strict"));
    return set.substr(0, set.find(';'));
  }
};

TEST_F(UserInterface, PagesAreForEverybodyAndMayRunOnlyTheirOwnFiles) {
  for (const char* target :
       {"/ui/", "/ui/jobs/j-1?tab=logs", "/ui/models/ft%3Aa/b", "/ui/app.js"}) {
    const httpclient::Response page = Browse(target);
    EXPECT_EQ(page.status, 200) << target;
    const std::string policy = page.Header("content-security-policy");
    EXPECT_THAT(policy, HasSubstr("default-src 'none'"));
    EXPECT_THAT(policy, HasSubstr("script-src 'self';"));
    EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
  }
  EXPECT_THAT(Browse("/ui/").body, StartsWith("<!doctype html>"));
  EXPECT_EQ(Browse("/").Header("location"), "/ui/");
  const std::string etag = Browse("/ui/app.js").Header("etag");
  EXPECT_EQ(Browse("/ui/app.js", {{"If-None-Match", etag}}).status, 304);
  const httpclient::Response packed = Browse("/ui/app.js", {{"Accept-Encoding", "gzip, br"}});
  EXPECT_EQ(packed.Header("content-encoding"), "gzip");
  EXPECT_LT(packed.body.size(), Browse("/ui/app.js").body.size());
}

TEST_F(UserInterface, ATicketOpensItOnce) {
  const json ticket = coordinator.Post("/api/v1/ui/tickets").body;
  EXPECT_EQ(Browse(ticket["path"]).Header("location"), "/ui/");
  const httpclient::Response again = Browse(ticket["path"]);
  EXPECT_EQ(again.Header("location"), "/ui/?ticket=used");
  EXPECT_EQ(again.Header("set-cookie"), "");
  EXPECT_EQ(Browse("/ui/login?ticket=made-up").Header("set-cookie"), "");
}

TEST_F(UserInterface, ASessionReadsAndChangesThingsFromItsOwnPagesOnly) {
  const std::string cookie = SignIn();
  EXPECT_EQ(Browse("/api/v1/ui/session").status, 401);
  const httpclient::Response who = Browse("/api/v1/ui/session", {{"Cookie", cookie}});
  EXPECT_EQ(json::parse(who.body), json({{"user", "local"}, {"scope", "admin"}}));
  const std::string job = coordinator.Submit("mine");
  const std::string target = "/api/v1/jobs/" + job + "/cancel";
  const auto cancel = [&](Headers headers) {
    headers.emplace_back("Cookie", cookie);
    return Browse(target, std::move(headers), "POST", "{}").status;
  };
  EXPECT_EQ(cancel({}), 403);
  EXPECT_EQ(cancel({{"Origin", "http://127.0.0.1:1"}}), 403);
  EXPECT_EQ(cancel({{"Origin", "null"}}), 403);
  EXPECT_EQ(coordinator.StateOf(job), "queued");
  EXPECT_EQ(cancel({{"Origin", coordinator.url()}}), 200);
  EXPECT_EQ(coordinator.StateOf(job), "cancelled");
}

TEST_F(UserInterface, ASessionOutlivesARestartAndEndsWithItsToken) {
  const json made = coordinator.Post("/api/v1/tokens", {{"scope", "viewer"}, {"user", "vi"}}).body;
  const std::string bearer = "Bearer " + made["token"].get<std::string>();
  const httpclient::Response started =
      Browse("/api/v1/ui/session", {{"Authorization", bearer}}, "POST", "{}");
  const std::string set = started.Header("set-cookie");
  const Headers session = {{"Cookie", set.substr(0, set.find(';'))}};
  ASSERT_EQ(Browse("/api/v1/jobs", session).status, 200);
  const std::string http = coordinator.url().substr(std::string("http://").size());
  coordinator.Signal(SIGKILL);
  coordinator.Wait();
  ASSERT_TRUE(coordinator.Start(http)) << coordinator.log();
  EXPECT_EQ(Browse("/api/v1/jobs", session).status, 200);
  EXPECT_EQ(Browse("/api/v1/tokens", session).status, 403) << "a viewer's, as its token is";
  coordinator.Post("/api/v1/tokens/" + made["id"].get<std::string>() + "/revoke");
  EXPECT_EQ(Browse("/api/v1/jobs", session).status, 401);
  const std::string end = Browse("/api/v1/ui/session", session, "DELETE").Header("set-cookie");
  EXPECT_THAT(end, HasSubstr("Max-Age=0"));
}

TEST_F(UserInterface, ASpecThatIsWrittenIsCheckedAtItsLines) {
  const auto check = [&](const std::string& text) {
    return coordinator.Post("/api/v1/specs/check", {{"text", text}}).body;
  };
  const std::string good =
      "name: a\ntask: text-classification\nmodel: bert\ndata: {train: a.csv}\n";
  const json right = check(good);
  EXPECT_EQ(right["problems"], json::array()) << right.dump();
  EXPECT_EQ(right["document"]["data"]["train"], "a.csv");
  EXPECT_EQ(right["spec"]["training"]["num_train_epochs"], 3.0) << "resolved";
  const json wrong = check(good + "training:\n  learning_rat: 1\n");
  ASSERT_EQ(wrong["problems"].size(), 1u) << wrong.dump();
  EXPECT_EQ(wrong["problems"][0]["line"], 6);
  EXPECT_THAT(wrong["problems"][0].dump(), HasSubstr("learning_rate"));
  EXPECT_TRUE(wrong["spec"].is_null());
  EXPECT_EQ(wrong["document"]["training"]["learning_rat"], 1);
  const json unreadable = check("a: [1\n");
  EXPECT_FALSE(unreadable["problems"].empty());
  EXPECT_TRUE(unreadable["document"].is_null());
  EXPECT_EQ(coordinator.Post("/api/v1/specs/check", {{"spec", good}}).status, 422);
}

TEST_F(UserInterface, AnUploadNeedNotKnowItsDigest) {
  const std::string text = "a,b\n1,2\n";
  const Answer first = coordinator.Call("POST", "/api/v1/blobs", text);
  EXPECT_EQ(first.status, 201) << first.text;
  EXPECT_EQ(first.body["digest"], Sha256Of(text).ToString());
  EXPECT_EQ(first.body["size_bytes"], text.size());
  EXPECT_EQ(coordinator.Call("POST", "/api/v1/blobs", text).status, 200) << "it was there";
  EXPECT_EQ(coordinator.Get("/api/v1/blobs/" + Sha256Of(text).ToString()).text, text);
}

TEST_F(UserInterface, JobsAreFoundByTextInNameIdOrUser) {
  const std::string first = coordinator.Submit("Sections-of-Debian");
  coordinator.Submit("other");
  const auto found = [&](const std::string& text) {
    std::vector<std::string> names;
    const Answer answer = coordinator.Get("/api/v1/jobs?q=" + text);
    for (const json& job : answer.body["data"]) names.push_back(job["name"]);
    return names;
  };
  EXPECT_THAT(found("debian"), testing::ElementsAre("Sections-of-Debian"));
  EXPECT_THAT(found(first.substr(2, 5)), testing::ElementsAre("Sections-of-Debian"));
  EXPECT_THAT(found("LOCAL"), testing::ElementsAre("other", "Sections-of-Debian"));
  EXPECT_THAT(found("nothing"), testing::IsEmpty());
}

}  // namespace
}  // namespace tutti::coordinator
