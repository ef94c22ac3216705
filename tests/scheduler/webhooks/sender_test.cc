#include "scheduler/webhooks/sender.h"

#include <gmock/gmock.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "scheduler/webhooks/signature.h"
#include "tests/common/httpclient/fake_server.h"

namespace tutti::webhooks {
namespace {

using httpclient::FakeServer;
using httpclient::Seen;
using testing::HasSubstr;

constexpr auto kDeadline = std::chrono::seconds(20);

// Tries as they are told, to be waited for.
class Tries {
 public:
  auto Teller() {
    return [this](const Delivery& delivery, const Tried& tried) {
      const std::lock_guard lock(mutex_);
      all_.emplace_back(delivery.id, tried);
      came_.notify_all();
    };
  }
  // The first `count`, or what came before the deadline.
  std::vector<std::pair<std::string, Tried>> Await(std::size_t count) {
    std::unique_lock lock(mutex_);
    came_.wait_for(lock, kDeadline, [&] { return all_.size() >= count; });
    return all_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<std::pair<std::string, Tried>> all_;
};

class SenderTest : public testing::Test {
 protected:
  Delivery To(const FakeServer& server, const std::string& id) {
    return {.id = id,
            .receiver = "h-1",
            .url = server.url() + "/hook?key=1",
            .secret = secret_,
            .body = R"({"text": "hello"})",
            .tried = tries_.Teller()};
  }

  const std::string secret_ = SecretFor("cluster", "h-1");
  Tries tries_;
  Sender sender_{SenderOptions{.deadline = std::chrono::seconds(5), .pause_factor = 0.001}};
};

TEST_F(SenderTest, AMessageIsSignedAndSentOnce) {
  FakeServer server([](const Seen&) { return FakeServer::Json("{}"); });
  sender_.Add(To(server, "m-1"));
  const auto tries = tries_.Await(1);
  ASSERT_EQ(tries.size(), 1u);
  EXPECT_EQ(tries[0].second.status, 200);
  EXPECT_EQ(tries[0].second.error, "");
  EXPECT_TRUE(tries[0].second.is_over);
  ASSERT_EQ(server.seen().size(), 1u);
  Seen seen = server.seen().front();
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.target, "/hook?key=1");
  EXPECT_EQ(seen.headers["content-type"], "application/json");
  EXPECT_EQ(seen.headers["webhook-id"], "m-1");
  EXPECT_EQ(
      seen.headers["webhook-signature"],
      Signature(secret_, "m-1", std::stoll(seen.headers["webhook-timestamp"]), seen.body).value());
}

TEST_F(SenderTest, WhatMayPassIsTriedAgainUnderTheSameId) {
  std::atomic<int> calls = 0;
  FakeServer server([&](const Seen&) {
    const int call = ++calls;
    return FakeServer::Json("{}", call == 1 ? 500 : call == 2 ? 429 : 204);
  });
  sender_.Add(To(server, "m-1"));
  const auto tries = tries_.Await(3);
  ASSERT_EQ(tries.size(), 3u);
  EXPECT_THAT(tries[0].second.error, HasSubstr("it answered 500"));
  EXPECT_FALSE(tries[0].second.is_over);
  EXPECT_TRUE(tries[2].second.is_over);
  EXPECT_EQ(tries[2].second.error, "");
  for (Seen seen : server.seen()) EXPECT_EQ(seen.headers["webhook-id"], "m-1");
}

TEST_F(SenderTest, OtherAnswersAreFinalAndRedirectsAreNotFollowed) {
  FakeServer elsewhere([](const Seen&) { return FakeServer::Json("{}"); });
  FakeServer server([&](const Seen& seen) {
    if (seen.headers.at("webhook-id") == "m-1") return FakeServer::Json("no such channel", 404);
    return "HTTP/1.1 302 X\r\nLocation: " + elsewhere.url() + "\r\nContent-Length: 0\r\n\r\n";
  });
  sender_.Add(To(server, "m-1"));
  sender_.Add(To(server, "m-2"));
  const auto tries = tries_.Await(2);
  ASSERT_EQ(tries.size(), 2u);
  EXPECT_TRUE(tries[0].second.is_over);
  EXPECT_EQ(tries[0].second.error, "it answered 404: no such channel");
  EXPECT_TRUE(tries[1].second.is_over);
  EXPECT_THAT(tries[1].second.error, HasSubstr("redirects are not followed"));
  EXPECT_TRUE(elsewhere.seen().empty());
}

TEST_F(SenderTest, WhereAJobsMayNotGoNothingIsSent) {
  FakeServer server([](const Seen&) { return FakeServer::Json("{}"); });
  Delivery delivery = To(server, "m-1");
  delivery.of_job = true;
  sender_.Add(std::move(delivery));
  const auto tries = tries_.Await(1);
  ASSERT_EQ(tries.size(), 1u);
  EXPECT_TRUE(tries[0].second.is_over);
  EXPECT_THAT(tries[0].second.error, HasSubstr("may not go to 127.0.0.1"));
  EXPECT_TRUE(server.seen().empty());
}

TEST_F(SenderTest, ASlowReceiverHoldsUpNobodyElse) {
  std::atomic<bool> go = false;
  FakeServer slow([&](const Seen&) {
    const Instant end = MonotonicNow() + kDeadline;
    while (!go && MonotonicNow() < end) std::this_thread::yield();
    return FakeServer::Json("{}");
  });
  FakeServer quick([](const Seen&) { return FakeServer::Json("{}"); });
  for (int i = 0; i < 5; ++i) {
    Delivery delivery = To(slow, "slow-" + std::to_string(i));
    delivery.receiver = "h-slow";
    sender_.Add(std::move(delivery));
  }
  sender_.Add(To(quick, "quick"));
  const auto tries = tries_.Await(1);
  go = true;
  ASSERT_EQ(tries.size(), 1u);
  EXPECT_EQ(tries[0].first, "quick");
}

TEST_F(SenderTest, StoppingWaitsForNoReceiver) {
  std::atomic<bool> called = false;
  std::atomic<bool> go = false;
  FakeServer slow([&](const Seen&) {
    called = true;
    const Instant end = MonotonicNow() + kDeadline;
    while (!go && MonotonicNow() < end) std::this_thread::yield();
    return FakeServer::Json("{}");
  });
  sender_.Add(To(slow, "m-1"));
  const Instant end = MonotonicNow() + kDeadline;
  while (!called && MonotonicNow() < end) std::this_thread::yield();
  ASSERT_TRUE(called);
  sender_.Stop();
  EXPECT_FALSE(go);
  go = true;
}

TEST_F(SenderTest, AForgottenReceiverIsToldNothingMore) {
  FakeServer server([](const Seen&) { return FakeServer::Json("{}", 500); });
  Delivery late = To(server, "late");
  late.tries = 100;  // due after its pause
  sender_.Add(std::move(late));
  sender_.Forget("h-1");
  FakeServer good([](const Seen&) { return FakeServer::Json("{}"); });
  sender_.Add(To(good, "m-2"));
  const auto tries = tries_.Await(1);
  ASSERT_EQ(tries.size(), 1u);
  EXPECT_EQ(tries[0].first, "m-2");
}

TEST(PauseAfter, DoublesUpToTenMinutes) {
  using std::chrono::milliseconds;
  using std::chrono::seconds;
  EXPECT_GE(PauseAfter(1, "a"), milliseconds(800));
  EXPECT_LE(PauseAfter(1, "a"), seconds(1));
  EXPECT_GE(PauseAfter(5, "b"), milliseconds(12'800));
  EXPECT_LE(PauseAfter(5, "b"), seconds(16));
  EXPECT_GE(PauseAfter(1000, "c"), seconds(480));
  EXPECT_LE(PauseAfter(1000, "c"), seconds(600));
}

TEST(CheckUrl, TakesAddressesOfHttpAlone) {
  const Networks networks{Network::kPublic, Network::kLoopback};
  for (const char* url : {"https://hooks.example.org/services/T0/B0/x?y=1", "http://127.0.0.1:9/",
                          "https://[2606:4700::1111]/x", "http://host"}) {
    EXPECT_TRUE(CheckUrl(url, networks)) << url;
  }
  for (const char* url : {"", "ftp://host/", "https://user:word@host/", "https://", "http://ho st/",
                          "https://host:99999999/", "http://host/a b", "javascript:alert(1)",
                          "http://169.254.169.254/latest/meta-data", "http://10.0.0.1/"}) {
    EXPECT_FALSE(CheckUrl(url, networks)) << url;
  }
  EXPECT_FALSE(CheckUrl("https://host/" + std::string(3000, 'a'), networks));
}

}  // namespace
}  // namespace tutti::webhooks
