#include "scheduler/http/sessions.h"

#include <gtest/gtest.h>

#include <string>

#include "scheduler/http/auth.h"

namespace tutti::http {
namespace {

constexpr WallTime kNow{1'800'000'000'000};

WallTime After(std::chrono::milliseconds time) { return WallTime{kNow.unix_ms + time.count()}; }

// What a browser sends back of a Set-Cookie header.
std::string SentBack(const std::string& set_cookie) {
  return set_cookie.substr(0, set_cookie.find(';'));
}

std::optional<Digest> TokenOf(const Sessions& sessions, const Fields& headers) {
  const auto found = sessions.Find(headers, kNow);
  return found ? std::optional(found->token) : std::nullopt;
}

struct SessionsTest : testing::Test {
  Sessions sessions{"a secret", false};
  Digest token = Sha256Of("a token");
  Fields host{{"host", "127.0.0.1:7717"}};

  Fields With(const std::string& cookie) const {
    Fields headers = host;
    headers.emplace_back("cookie", cookie);
    return headers;
  }
};

TEST_F(SessionsTest, TicketIsForOneUseWithinAMinute) {
  const auto ticket = sessions.MakeTicket(token, kNow);
  ASSERT_TRUE(ticket);
  EXPECT_FALSE(sessions.Redeem("another", kNow));
  EXPECT_EQ(sessions.Redeem(*ticket, After(Sessions::kTicketLife - std::chrono::seconds(1))),
            token);
  EXPECT_FALSE(sessions.Redeem(*ticket, kNow));
  const auto late = sessions.MakeTicket(token, kNow);
  EXPECT_FALSE(sessions.Redeem(*late, After(Sessions::kTicketLife)));
}

TEST_F(SessionsTest, UnusedTicketsAreBoundedAndMakeRoomWithTime) {
  for (std::size_t i = 0; i < Sessions::kTicketsMax; ++i) {
    ASSERT_TRUE(sessions.MakeTicket(token, kNow));
  }
  EXPECT_EQ(sessions.MakeTicket(token, kNow).error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(sessions.MakeTicket(token, After(Sessions::kTicketLife)));
}

TEST_F(SessionsTest, CookieStandsForItsTokenUntilItIsTooOld) {
  const std::string set = sessions.StartCookie(host, token, kNow);
  EXPECT_NE(set.find("; HttpOnly; SameSite=Strict"), std::string::npos) << set;
  EXPECT_EQ(set.find("Secure"), std::string::npos) << set;
  const std::string cookie = SentBack(set);
  EXPECT_EQ(TokenOf(sessions, With(cookie)), token);
  EXPECT_EQ(TokenOf(sessions, With("other=1; " + cookie + "; more=2")), token);
  EXPECT_FALSE(sessions.Find(With(cookie), After(Sessions::kSessionLife)));
  EXPECT_FALSE(sessions.Find(host, kNow));
  EXPECT_NE(Sessions("a secret", true).StartCookie(host, token, kNow).find("; Secure"),
            std::string::npos);
  // Outlives a restart, not another secret.
  EXPECT_EQ(TokenOf(Sessions("a secret", false), With(cookie)), token);
  EXPECT_FALSE(Sessions("another", false).Find(With(cookie), kNow));
}

TEST_F(SessionsTest, EveryChangedByteIsNoticed) {
  const std::string cookie = SentBack(sessions.StartCookie(host, token, kNow));
  for (std::size_t i = cookie.find('=') + 1; i < cookie.size(); ++i) {
    std::string changed = cookie;
    changed[i] = changed[i] == '1' ? '2' : '1';
    EXPECT_FALSE(sessions.Find(With(changed), kNow)) << i;
  }
  EXPECT_FALSE(sessions.Find(With(cookie.substr(0, cookie.size() - 1)), kNow));
  EXPECT_FALSE(sessions.Find(With(cookie + "0"), kNow));
}

// Two coordinators of one machine: cookies do not know ports.
TEST_F(SessionsTest, CookieIsNamedAfterThePort) {
  const std::string cookie = SentBack(sessions.StartCookie(host, token, kNow));
  EXPECT_TRUE(cookie.starts_with("tutti-session-7717="));
  EXPECT_FALSE(sessions.Find({{"host", "127.0.0.1:7718"}, {"cookie", cookie}}, kNow));
}

struct SessionAuth : testing::Test {
  SessionAuth() {
    auth.Believe(sessions);
    auth.tokens().Put({"t-1", Sha256Of("a token"), {"ana", Scope::kSubmitter}, std::nullopt});
    headers = {{"host", "127.0.0.1:7717"}};
    headers.emplace_back("cookie",
                         SentBack(sessions.StartCookie(headers, Sha256Of("a token"), WallNow())));
  }
  int StatusOf(const Demand& demand) const {
    const auto caller = auth.Check(headers, demand, "192.0.2.1");
    return caller ? 200 : caller.error().status;
  }

  Sessions sessions{"a secret", false};
  Auth auth{{}};
  Fields headers;
};

TEST_F(SessionAuth, HasTheScopeOfItsTokenAndEndsWithIt) {
  EXPECT_EQ(auth.Check(headers, {.access = Access::kViewer}, "")->user, "ana");
  EXPECT_EQ(StatusOf({.access = Access::kSubmitter}), 200);
  EXPECT_EQ(StatusOf({.access = Access::kAdmin}), 403);
  auth.tokens().Remove("t-1");
  EXPECT_EQ(StatusOf({.access = Access::kViewer}), 401);
}

TEST_F(SessionAuth, HoldsUntilItsTokenOrItselfEnds) {
  const Caller caller = *auth.Check(headers, {.access = Access::kViewer}, "");
  EXPECT_TRUE(auth.StillHolds(caller));
  Caller over = caller;
  over.until = WallTime{WallNow().unix_ms - 1};
  EXPECT_FALSE(auth.StillHolds(over));
  auth.tokens().Remove("t-1");
  EXPECT_FALSE(auth.StillHolds(caller));
  EXPECT_TRUE(auth.StillHolds(Caller{})) << "an open route's";
}

TEST_F(SessionAuth, ChangesSomethingFromOurOwnPagesOnly) {
  const Demand change{.access = Access::kSubmitter, .changes = true};
  EXPECT_EQ(StatusOf(change), 403);
  headers.emplace_back("origin", "http://127.0.0.1:8888");
  EXPECT_EQ(StatusOf(change), 403);
  headers.back().second = "http://127.0.0.1:7717";
  EXPECT_EQ(StatusOf(change), 200);
}

}  // namespace
}  // namespace tutti::http
