#include "scheduler/http/auth.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "common/file/file.h"

namespace tutti::http {
namespace {

constexpr std::string_view kToken = "0123456789abcdef";

Auth MakeAuth() {
  return Auth({{Sha256Of("another-token-0123"), "other"}, {Sha256Of(kToken), "local"}},
              {"tutti.example"});
}

TEST(Auth, KnowsUsersByTheirTokens) {
  const Auth auth = MakeAuth();
  const std::string token(kToken);
  EXPECT_EQ(auth.User({{"authorization", "Bearer " + token}}).value(), "local");
  EXPECT_EQ(auth.User({{"authorization", "bearer " + token}}).value(), "local");
  EXPECT_EQ(auth.User({{"authorization", "Bearer another-token-0123"}}).value(), "other");
  for (const std::string& header :
       {std::string(), std::string("Bearer"), std::string("Bearer "), token, "Basic " + token,
        "Bearer " + token + " ", "Bearer  " + token, "Bearer " + token.substr(1)}) {
    EXPECT_EQ(auth.User({{"authorization", header}}).error().code, ErrorCode::kAuth) << header;
  }
  EXPECT_EQ(auth.User({}).error().code, ErrorCode::kAuth);
}

TEST(Auth, NobodyIsKnownWithoutTokens) {
  const Auth auth({}, {});
  EXPECT_FALSE(auth.User({{"authorization", "Bearer x"}}));
}

TEST(Auth, HostMustBeOurs) {
  const Auth auth = MakeAuth();
  for (const char* host : {"localhost", "LOCALHOST:7717", "127.0.0.1", "127.0.0.1:7717", "[::1]",
                           "[::1]:80", "tutti.example", "tutti.example:443"}) {
    EXPECT_TRUE(auth.CheckOrigin({{"host", host}})) << host;
  }
  for (const char* host : {"", "evil.example", "localhost.evil.example", "127.0.0.2",
                           "localhost:", "localhost:x", "localhost:80:80", "[::1", "[::1]x", "::1",
                           "tutti.example@evil.example", "localhost:1234567"}) {
    EXPECT_EQ(auth.CheckOrigin({{"host", host}}).error().where, "host") << host;
  }
}

TEST(Auth, PagesOfOthersAreKeptOut) {
  const Auth auth = MakeAuth();
  for (const char* origin : {"http://localhost:7717", "https://tutti.example", "http://[::1]:80"}) {
    EXPECT_TRUE(auth.CheckOrigin({{"host", "localhost"}, {"origin", origin}})) << origin;
  }
  for (const char* origin : {"null", "", "http://evil.example", "http://localhost.evil.example",
                             "file://localhost", "http://", "localhost"}) {
    EXPECT_EQ(auth.CheckOrigin({{"host", "localhost"}, {"origin", origin}}).error().where, "origin")
        << origin;
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
