#include "scheduler/http/auth.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "common/file/file.h"

namespace tutti::http {
namespace {

constexpr std::string_view kToken = "0123456789abcdef";

struct AuthTest : testing::Test {
  AuthTest() {
    Put("t-1", kToken, {"local", Scope::kAdmin});
    Put("t-2", "another-token-0123", {"other", Scope::kViewer});
  }
  void Put(std::string id, std::string_view token, Caller caller,
           std::optional<WallTime> expires = std::nullopt) {
    auth.tokens().Put({std::move(id), Sha256Of(token), std::move(caller), expires});
  }
  // The user, or "401 unknown".
  std::string Try(const std::string& header, Demand demand = {Access::kViewer}) {
    const auto caller = auth.Check({{"authorization", header}}, demand, "192.0.2.1");
    if (caller) return caller->user;
    return std::to_string(caller.error().status) + " " + caller.error().reason;
  }

  Auth auth{
      {"tutti.example", "*.wild.example"}, [](std::string_view token) {
        return token == "a-worker" ? std::optional(Caller{"w", Scope::kWorker}) : std::nullopt;
      }};
};

TEST_F(AuthTest, KnowsUsersByTheirTokens) {
  const std::string token(kToken);
  EXPECT_EQ(Try("Bearer " + token), "local");
  EXPECT_EQ(Try("bearer " + token), "local");
  EXPECT_EQ(Try("Bearer another-token-0123"), "other");
  for (const std::string& header :
       {std::string(), std::string("Bearer"), std::string("Bearer "), token, "Basic " + token}) {
    EXPECT_EQ(Try(header), "401 missing") << header;
  }
  for (const std::string& header :
       {"Bearer " + token + " ", "Bearer  " + token, "Bearer " + token.substr(1)}) {
    EXPECT_EQ(Try(header), "401 unknown") << header;
  }
  EXPECT_FALSE(auth.Check({}, {Access::kViewer}, ""));
  EXPECT_TRUE(auth.Check({}, {Access::kOpen}, ""));
}

TEST_F(AuthTest, EachScopeMayDoWhatItMayAndNothingElse) {
  Put("t-3", "submitters", {"sub", Scope::kSubmitter});
  const std::string view = "Bearer another-token-0123";
  const std::string submit = "Bearer submitters";
  const std::string admin = "Bearer " + std::string(kToken);
  const std::string worker = "Bearer a-worker";
  const std::string no = "403 scope";
  const auto all = [&](Demand demand) {
    return std::vector{Try(worker, demand), Try(view, demand), Try(submit, demand),
                       Try(admin, demand)};
  };
  using Texts = std::vector<std::string>;
  EXPECT_EQ(all({Access::kViewer}), (Texts{no, "other", "sub", "local"}));
  EXPECT_EQ(all({Access::kSubmitter}), (Texts{no, no, "sub", "local"}));
  EXPECT_EQ(all({Access::kAdmin}), (Texts{no, no, no, "local"}));
  EXPECT_EQ(all({Access::kUndeclared}), (Texts{no, no, no, "local"}));
  EXPECT_EQ(all({Access::kSubmitter, true}), (Texts{"w", no, "sub", "local"}));
}

TEST_F(AuthTest, ATokenEndsWhenItExpiresOrIsRevoked) {
  Put("t-4", "old", {"ana", Scope::kAdmin}, WallTime{WallNow().unix_ms - 1});
  Put("t-5", "new", {"ana", Scope::kAdmin}, WallTime{WallNow().unix_ms + 3'600'000});
  EXPECT_EQ(Try("Bearer old"), "401 expired");
  EXPECT_EQ(Try("Bearer new"), "ana");
  auth.tokens().Remove("t-5");
  EXPECT_EQ(Try("Bearer new"), "401 unknown");
}

TEST_F(AuthTest, UsesAreToldOnce) {
  EXPECT_TRUE(auth.tokens().TakeUses().empty());
  Try("Bearer another-token-0123");
  Try("Bearer nobodys");
  const auto uses = auth.tokens().TakeUses();
  ASSERT_EQ(uses.size(), 1u);
  EXPECT_EQ(uses[0].first, "t-2");
  EXPECT_GT(uses[0].second.unix_ms, 0);
  EXPECT_TRUE(auth.tokens().TakeUses().empty());
}

TEST(FailureLimit, FillsAgainWithTimeAndIsEachAddresssOwn) {
  FailureLimit limit;
  const Instant start = MonotonicNow();
  for (int i = 0; i < static_cast<int>(FailureLimit::kBurst); ++i) {
    EXPECT_EQ(limit.Count("a", start), std::nullopt) << i;
  }
  EXPECT_EQ(limit.Count("a", start), std::chrono::seconds(1));
  EXPECT_EQ(limit.Count("b", start), std::nullopt);
  EXPECT_EQ(limit.Count("a", start + std::chrono::seconds(2)), std::nullopt);
}

TEST(FailureLimit, RemembersABoundedNumberOfAddresses) {
  FailureLimit limit;
  const Instant start = MonotonicNow();
  for (std::size_t i = 0; i < 3 * FailureLimit::kAddressesMax; ++i) {
    EXPECT_EQ(limit.Count(std::to_string(i), start), std::nullopt);
  }
}

TEST_F(AuthTest, HostMustBeOurs) {
  for (const char* host :
       {"localhost", "LOCALHOST:7717", "127.0.0.1", "127.0.0.1:7717", "[::1]", "[::1]:80",
        "tutti.example", "tutti.example:443", "a.wild.example", "A.WILD.example:1"}) {
    EXPECT_TRUE(auth.CheckOrigin({{"host", host}})) << host;
  }
  for (const char* host :
       {"", "evil.example", "localhost.evil.example", "127.0.0.2", "localhost:", "localhost:x",
        "localhost:80:80", "[::1", "[::1]x", "::1", "tutti.example@evil.example",
        "localhost:1234567", "wild.example", ".wild.example", "a.b.wild.example"}) {
    const auto checked = auth.CheckOrigin({{"host", host}});
    ASSERT_FALSE(checked) << host;
    EXPECT_EQ(checked.error().reason, "host") << host;
  }
}

TEST_F(AuthTest, PagesOfOthersAreKeptOut) {
  for (const char* origin : {"http://localhost:7717", "https://tutti.example", "http://[::1]:80"}) {
    EXPECT_TRUE(auth.CheckOrigin({{"host", "localhost"}, {"origin", origin}})) << origin;
  }
  for (const char* origin : {"null", "", "http://evil.example", "http://localhost.evil.example",
                             "file://localhost", "http://", "localhost"}) {
    const auto checked = auth.CheckOrigin({{"host", "localhost"}, {"origin", origin}});
    ASSERT_FALSE(checked) << origin;
    EXPECT_EQ(checked.error().reason, "origin") << origin;
  }
}

class TokenFile : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) / ("token-" + std::to_string(::getpid()));
    ASSERT_TRUE(MakeDirectories(folder_));
  }
  void TearDown() override { ASSERT_TRUE(RemoveTree(folder_)); }

  std::filesystem::path folder_;
};

TEST_F(TokenFile, IsMadeOnceForItsOwnerAlone) {
  const std::string token = LoadOrMakeToken(folder_ / "token").value();
  EXPECT_EQ(token.size(), 64u);
  EXPECT_EQ(LoadOrMakeToken(folder_ / "token").value(), token);
  EXPECT_NE(LoadOrMakeToken(folder_ / "another").value(), token);
  struct stat stat {};
  ASSERT_EQ(::stat((folder_ / "token").c_str(), &stat), 0);
  EXPECT_EQ(stat.st_mode & 0777, 0600u);
}

TEST_F(TokenFile, ThatOthersReadOrThatHoldsNoneIsRefused) {
  const auto write = [&](std::string_view text, unsigned mode) {
    ASSERT_TRUE(WriteFileAtomically(folder_ / "token", text, {.mode = mode}));
    ASSERT_EQ(::chmod((folder_ / "token").c_str(), mode), 0);
  };
  write("0123456789abcdef\n", 0600);
  EXPECT_EQ(LoadOrMakeToken(folder_ / "token").value(), "0123456789abcdef");
  write("0123456789abcdef\n", 0640);
  EXPECT_EQ(LoadOrMakeToken(folder_ / "token").error().code, ErrorCode::kAuth);
  for (const char* text : {"", "\n", "short", "0123456789 abcdef",
                           "0123456789\x01"
                           "abcdef"}) {
    write(text, 0600);
    EXPECT_EQ(LoadOrMakeToken(folder_ / "token").error().code, ErrorCode::kInvalid) << text;
  }
  ASSERT_EQ(::symlink("token", (folder_ / "symlink").c_str()), 0);
  EXPECT_EQ(LoadOrMakeToken(folder_ / "symlink").error().code, ErrorCode::kAuth);
}

}  // namespace
}  // namespace tutti::http
