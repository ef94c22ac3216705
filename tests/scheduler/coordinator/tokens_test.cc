// Tokens of people and of workers, and who may call which route.
#include "scheduler/coordinator/tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "common/file/file.h"
#include "scheduler/coordinator/coordinator.h"
#include "scheduler/coordinator/worker_tokens.h"
#include "scheduler/http/auth.h"
#include "scheduler/http/router.h"

namespace tutti::coordinator {
namespace {

namespace fs = std::filesystem;
using http::Access;
using http::Scope;
using http::TokenTable;
using testing::HasSubstr;

class Scratch : public testing::Test {
 protected:
  fs::path directory = fs::path(testing::TempDir()) / ("tokens-" + std::to_string(::getpid()));

  void SetUp() override {
    fs::remove_all(directory);
    fs::create_directories(directory);
  }
  void TearDown() override { fs::remove_all(directory); }
  std::unique_ptr<store::Store> OpenStore() {
    return store::Store::Open(directory / "state.db").value();
  }
};

class TokensTest : public Scratch {
 protected:
  void SetUp() override {
    Scratch::SetUp();
    store = OpenStore();
  }
  TokenTable::State StateOf(const std::string& token) {
    return table.Look(Sha256Of(token), WallNow()).first;
  }
  View view() { return {.state = nullptr, .store = store.get(), .read_only = false}; }

  std::unique_ptr<store::Store> store;
  TokenTable table;
  Tokens tokens{table};
};

TEST_F(TokensTest, ATokenIsValidFromTheAnswerOnAndAfterARestart) {
  const auto made = tokens.Create(
      view(), {.scope = Scope::kSubmitter, .name = "ci", .user = "ana", .lifetime = {}});
  ASSERT_TRUE(made) << made.error().ToString();
  EXPECT_EQ(made->token.size(), 64u);
  const auto [state, caller] = table.Look(Sha256Of(made->token), WallNow());
  EXPECT_EQ(state, TokenTable::State::kValid);
  EXPECT_EQ(caller.user, "ana");
  EXPECT_EQ(caller.scope, Scope::kSubmitter);

  TokenTable later;
  ASSERT_TRUE(Tokens(later).Load(*store));
  EXPECT_EQ(later.Look(Sha256Of(made->token), WallNow()).first, TokenTable::State::kValid);
  const auto text = ReadFile(directory / "state.db-wal");
  ASSERT_TRUE(text);
  EXPECT_EQ(text->find(made->token), std::string::npos) << "the token itself is kept";
}

TEST_F(TokensTest, RevokingTakesIdOrNameAndWorksAtOnce) {
  const auto one = tokens.Create(view(), {.name = "one", .user = "ana"});
  const auto two = tokens.Create(view(), {.name = "twin", .user = "ana"});
  const auto three = tokens.Create(view(), {.name = "twin", .user = "ana"});
  ASSERT_TRUE(one && two && three);
  EXPECT_EQ(tokens.Revoke(view(), "one")->id, one->row.id);
  EXPECT_EQ(StateOf(one->token), TokenTable::State::kUnknown);
  EXPECT_EQ(tokens.Revoke(view(), "twin").error().code, ErrorCode::kConflict);
  EXPECT_EQ(tokens.Revoke(view(), two->row.id)->id, two->row.id);
  EXPECT_EQ(tokens.Revoke(view(), "twin")->id, three->row.id);
  for (const char* gone : {"one", "twin", ""}) {
    EXPECT_EQ(tokens.Revoke(view(), gone).error().code, ErrorCode::kNotFound) << gone;
  }
  EXPECT_TRUE(tokens.List(view())->empty());
}

TEST_F(TokensTest, ListsWhenEachWasLastUsed) {
  const auto made = tokens.Create(view(), {.user = "ana"});
  ASSERT_TRUE(made);
  EXPECT_EQ(tokens.List(view())->at(0).last_used, std::nullopt);
  StateOf(made->token);
  EXPECT_NE(tokens.List(view())->at(0).last_used, std::nullopt);
}

TEST_F(TokensTest, NothingIsMadeWhileTheStoreCannotWrite) {
  View read_only = view();
  read_only.read_only = true;
  EXPECT_EQ(tokens.Create(read_only, {.user = "ana"}).error().code, ErrorCode::kDiskFull);
  EXPECT_TRUE(tokens.List(read_only)->empty());
}

class WorkerTokensTest : public Scratch {};

TEST_F(WorkerTokensTest, AreOneWorkersAndEndWithItsKey) {
  ASSERT_TRUE(WriteFileAtomically(directory / "w1.pub", "key"));
  ASSERT_TRUE(WriteFileAtomically(directory / "w2.pub", "key"));
  const WorkerTokens tokens("secret", directory);
  const std::string token = tokens.For("w1");
  EXPECT_EQ(token, WorkerTokens("secret", directory).For("w1")) << "a restart changes nothing";
  EXPECT_EQ(token.find("secret"), std::string::npos);
  const auto caller = tokens.Check(token);
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->scope, Scope::kWorker);
  EXPECT_THAT(caller->user, HasSubstr("w1"));

  EXPECT_FALSE(WorkerTokens("other", directory).Check(token));
  std::string altered = token;
  altered.back() = '2';
  for (const std::string& bad : {altered, token + "2", token.substr(0, token.size() - 1),
                                 std::string("worker."), std::string("worker.."), std::string()}) {
    EXPECT_FALSE(tokens.Check(bad)) << bad;
  }
  fs::remove(directory / "w1.pub");
  EXPECT_FALSE(tokens.Check(token));
}

// The table of routes of a coordinator that serves.
class RoutesTest : public Scratch {
 protected:
  void SetUp() override {
    Scratch::SetUp();
    auto started = Coordinator::Start(
        {.data_dir = directory, .http = {"127.0.0.1", 0}, .zmq = {"127.0.0.1", 0}}, [](auto&) {});
    ASSERT_TRUE(started) << started.error().ToString();
    coordinator = std::move(*started);
  }
  void TearDown() override {
    coordinator.reset();
    Scratch::TearDown();
  }
  const http::Router& router() const { return coordinator->routes(); }

  std::unique_ptr<Coordinator> coordinator;
};

TEST_F(RoutesTest, EachSaysWhoMayCallItAndWritesAreForMoreThanViewers) {
  ASSERT_FALSE(router().routes().empty());
  std::set<std::string> open;
  std::set<std::string> for_workers;
  for (const http::Route& route : router().routes()) {
    const std::string name = std::string(ToString(route.method)) + " " + route.path;
    EXPECT_NE(route.access, Access::kUndeclared) << name;
    if (route.access == Access::kOpen) open.insert(name);
    if (route.workers) for_workers.insert(name);
    const bool reads = route.method == http::Method::kGet || route.method == http::Method::kHead;
    // A browser's session may do what its token may: viewers begin and end their own.
    if (!reads && !route.path.starts_with("/api/v1/ui/")) {
      EXPECT_NE(route.access, Access::kViewer) << name;
    }
    for (const char* part : {"/tokens", "/drain"}) {
      if (!reads || part == std::string("/tokens")) {
        EXPECT_TRUE(route.path.find(part) == std::string::npos || route.access == Access::kAdmin)
            << name;
      }
    }
  }
  EXPECT_EQ(open, (std::set<std::string>{"DELETE /api/v1/ui/session", "GET /", "GET /healthz",
                                         "GET /metrics", "GET /ui", "GET /ui/login",
                                         "GET /ui/{path...}", "POST /api/v1/workers/enroll"}));
  EXPECT_EQ(for_workers,
            (std::set<std::string>{"GET /api/v1/blobs/{digest}", "HEAD /api/v1/blobs/{digest}",
                                   "PUT /api/v1/blobs/{digest}",
                                   "GET /api/v1/jobs/{job}/checkpoints/{file}",
                                   "PUT /api/v1/jobs/{job}/checkpoints/{file}"}));
}

TEST_F(RoutesTest, AreThoseOfTheDocument) {
  const auto document =
      nlohmann::json::parse(http::OpenApiDocument(router(), "Tutti", "0"), nullptr, false);
  ASSERT_TRUE(document.is_object());
  std::set<std::string> documented;
  for (const auto& [path, operations] : document["paths"].items()) {
    for (const auto& [method, operation] : operations.items()) {
      documented.insert(method + " " + path + " " + operation.value("x-scope", "none"));
    }
  }
  std::set<std::string> served;
  for (const http::Route& route : router().routes()) {
    std::string method(ToString(route.method));
    std::transform(method.begin(), method.end(), method.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    std::string path = route.path;
    if (const auto dots = path.find("...}"); dots != std::string::npos) path.erase(dots, 3);
    served.insert(method + " " + path + " " + std::string(ToString(route.access)));
  }
  EXPECT_EQ(served, documented);
  EXPECT_EQ(served.size(), router().routes().size());
}

}  // namespace
}  // namespace tutti::coordinator
