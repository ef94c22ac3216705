#include "worker/engine/link.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>

namespace tutti::engine {
namespace {

using namespace std::chrono_literals;

std::chrono::nanoseconds Now() { return std::chrono::steady_clock::now().time_since_epoch(); }

class Link : public testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> pair{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
    worker_ = UniqueFd(pair[0]);
    link_.emplace(UniqueFd(pair[1]));
  }
  void Say(const enginelink::ToEngine& message) {
    const std::string line = enginelink::Encode(message);
    ASSERT_EQ(write(worker_.get(), line.data(), line.size()), static_cast<ssize_t>(line.size()));
  }
  void SayAlive(std::chrono::nanoseconds until) {
    Say(enginelink::Alive{.lease_until_ns = static_cast<std::uint64_t>(until.count())});
  }

  UniqueFd worker_;
  std::optional<FdLink> link_;
};

TEST_F(Link, TheWorkerIsGoneWhenItsLeaseHasRunOut) {
  EXPECT_TRUE(link_->Check());  // none yet
  link_->SetLease(Now() + 1h);
  EXPECT_TRUE(link_->Check());
  link_->SetLease(Now() - 1ms);
  const Status checked = link_->Check();
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, ErrorCode::kTimeout);
  EXPECT_FALSE(link_->Poll());
}

TEST_F(Link, ARenewalCountsByTheTimeItSaysAndNotByWhenItIsRead) {
  link_->SetLease(Now() - 1ms);
  SayAlive(Now() + 1h);  // said in time, read late
  EXPECT_TRUE(link_->Check());
  SayAlive(Now() - 1ms);  // it waited while this process was stopped
  EXPECT_FALSE(link_->Check());
}

TEST_F(Link, OtherWordsRenewNothing) {
  link_->SetLease(Now() - 1ms);
  Say(enginelink::CheckpointNow{});
  EXPECT_FALSE(link_->Check());
}

// A stopped worker reads nothing: what it is told last must not keep the rank alive beyond the
// lease.
TEST_F(Link, NothingWaitsBeyondTheLeaseForAWorkerThatDoesNotRead) {
  const std::string filler(1 << 16, '\n');
  link_->SetLease(Now() + 300ms);
  Status sent;
  while (sent) sent = link_->Send(enginelink::Failed{.message = filler});
  EXPECT_EQ(sent.error().code, ErrorCode::kUnavailable);
  const auto begin = Now();
  EXPECT_FALSE(link_->Check());
  EXPECT_FALSE(link_->Send(enginelink::Failed{.message = "the lease has run out"}));
  EXPECT_LT(Now() - begin, 10s);  // without a lease it waits for a minute
}

TEST_F(Link, WhatACheckHeardIsPolledOnce) {
  Say(enginelink::CheckpointNow{});
  Say(enginelink::Stop{.checkpoint = true});
  EXPECT_TRUE(link_->Check());
  const auto control = link_->Poll();
  ASSERT_TRUE(control);
  EXPECT_TRUE(control->checkpoint_now && control->stop && control->stop_checkpoint);
  const auto again = link_->Poll();
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->checkpoint_now || again->stop);
}

}  // namespace
}  // namespace tutti::engine
