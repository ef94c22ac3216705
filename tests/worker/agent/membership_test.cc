#include "worker/agent/membership.h"

#include <gtest/gtest.h>

#include "worker/agent/report_outbox.h"

namespace tutti::agent {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kSession = 7;

class Member : public testing::Test {
 protected:
  void SetUp() override {
    membership_.emplace(
        Membership::Options{.session = kSession,
                            .send =
                                [this](const wire::ToCoordinator& message) {
                                  if (connected_) sent_.push_back(message);
                                  return connected_;
                                },
                            .describe = [] { return wire::Register(); },
                            .beat = [] { return wire::Heartbeat(); },
                            .on_registered = [this](const wire::Registered&) { ++registered_; },
                            .on_lease_lost = [this] { ++leases_lost_; },
                            .on_refused = [this](const wire::Refused&) { ++refused_; }},
        now_);
  }

  void Wait(Duration duration) {
    for (const Instant end = now_ + duration; now_ < end;) {
      now_ = now_ + Membership::kTickInterval;
      membership_->Tick(now_);
    }
  }
  wire::ToWorker Message(std::uint64_t generation = 1) {
    wire::ToWorker message;
    message.set_session(kSession);
    message.set_generation(generation);
    return message;
  }
  // The number of the newest registration or heartbeat sent; 0 = none.
  std::uint64_t LastNumber() const {
    std::uint64_t number = 0;
    for (const auto& message : sent_) {
      number = std::max({number, message.register_().number(), message.heartbeat().number()});
    }
    return number;
  }
  void Acknowledge(std::uint64_t number) {
    wire::ToWorker ack = Message();
    ack.mutable_heartbeat_ack()->set_number(number);
    membership_->Hear(ack, now_);
  }
  void Admit(std::uint64_t generation = 1) {
    if (LastNumber() == 0) membership_->Tick(now_);
    wire::ToWorker message = Message(generation);
    message.mutable_registered()->set_number(LastNumber());
    message.mutable_registered()->set_heartbeat_interval_ms(500);
    message.mutable_registered()->set_lease_ms(5000);
    membership_->Hear(message, now_);
  }
  int Count(wire::ToCoordinator::BodyCase body) const {
    int count = 0;
    for (const auto& message : sent_) count += message.body_case() == body ? 1 : 0;
    return count;
  }

  Instant now_{1h};
  std::optional<Membership> membership_;
  std::vector<wire::ToCoordinator> sent_;
  bool connected_ = true;
  int registered_ = 0, leases_lost_ = 0, refused_ = 0;
};

TEST_F(Member, RegistersUntilItIsAnswered) {
  connected_ = false;
  Wait(1s);
  connected_ = true;
  Wait(100ms);
  EXPECT_EQ(Count(wire::ToCoordinator::kRegister), 1);  // soon after the line is there
  Wait(3s);
  EXPECT_EQ(Count(wire::ToCoordinator::kRegister), 4);
  EXPECT_EQ(Count(wire::ToCoordinator::kHeartbeat), 0);
  Admit();
  sent_.clear();
  Wait(3s);
  EXPECT_EQ(Count(wire::ToCoordinator::kRegister), 0);
  EXPECT_EQ(Count(wire::ToCoordinator::kHeartbeat), 6);
  EXPECT_EQ(sent_[0].session(), kSession);
}

TEST_F(Member, TheLeaseRunsFromWhenTheLastAnsweredMessageWasSent) {
  Admit();
  Wait(1s);
  const Instant sent = now_;
  membership_->BeatSoon();
  membership_->Tick(now_);
  const std::uint64_t number = LastNumber();
  Wait(3s);  // the answer takes its time, and others are on their way
  Acknowledge(number);
  EXPECT_EQ(membership_->lease_until(), sent + Duration(5s));
  Wait(1900ms);
  EXPECT_EQ(leases_lost_, 0);
  Wait(200ms);
  EXPECT_EQ(leases_lost_, 1);
  Wait(1min);
  EXPECT_EQ(leases_lost_, 1);
  EXPECT_FALSE(membership_->registered());
  Admit();
  EXPECT_TRUE(membership_->registered());
  Wait(6s);
  EXPECT_EQ(leases_lost_, 2);
}

TEST_F(Member, WhatWaitedWhileItWasStoppedRenewsNothing) {
  Admit();
  Wait(600ms);
  const std::uint64_t number = LastNumber();
  now_ = now_ + Duration(6s);  // no tick: SIGSTOP, and the answer and a launch wait in the socket
  Acknowledge(number);
  EXPECT_EQ(leases_lost_, 1);
  EXPECT_FALSE(membership_->registered());
  wire::ToWorker launch = Message();
  launch.mutable_launch_gang();
  EXPECT_FALSE(membership_->Hear(launch, now_));
}

TEST_F(Member, ARegistrationThatIsAnsweredTooLateIsSentAgain) {
  membership_->Tick(now_);
  const std::uint64_t number = LastNumber();
  now_ = now_ + Duration(6s);
  wire::ToWorker message = Message();
  message.mutable_registered()->set_lease_ms(5000);
  message.mutable_registered()->set_number(number);
  membership_->Hear(message, now_);
  EXPECT_FALSE(membership_->registered());
  membership_->Tick(now_);
  EXPECT_EQ(Count(wire::ToCoordinator::kRegister), 2);
  Admit();
  EXPECT_TRUE(membership_->registered());
}

TEST_F(Member, OthersWordsRenewNothing) {
  Admit();
  for (int i = 0; i < 49; ++i) {
    Wait(100ms);
    wire::ToWorker stop = Message();
    stop.mutable_stop_gang();
    EXPECT_TRUE(membership_->Hear(stop, now_));
  }
  Acknowledge(12345);
  Wait(200ms);
  EXPECT_EQ(leases_lost_, 1);
}

TEST_F(Member, NoLeaseRunsBeforeTheFirstRegistration) {
  Wait(1min);
  EXPECT_EQ(leases_lost_, 0);
}

TEST_F(Member, ARestartedCoordinatorIsRegisteredWithAtOnce) {
  Admit(1);
  sent_.clear();
  wire::ToWorker message = Message(2);
  message.mutable_reregister();
  membership_->Hear(message, now_);
  EXPECT_EQ(Count(wire::ToCoordinator::kRegister), 1);
  Admit(2);
  EXPECT_EQ(registered_, 2);
}

TEST_F(Member, MessagesOfOldCoordinatorsAndToOtherLivesAreDropped) {
  Admit(2);
  wire::ToWorker launch = Message(1);
  launch.mutable_launch_gang();
  EXPECT_FALSE(membership_->Hear(launch, now_));
  launch.set_generation(2);
  EXPECT_TRUE(membership_->Hear(launch, now_));
  launch.set_session(kSession + 1);
  EXPECT_FALSE(membership_->Hear(launch, now_));
}

TEST_F(Member, ARefusalIsHandedOn) {
  wire::ToWorker message = Message();
  message.mutable_refused()->set_message("another version");
  EXPECT_FALSE(membership_->Hear(message, now_));
  EXPECT_EQ(refused_, 1);
}

TEST_F(Member, AfterTheGoodbyeThereIsSilence) {
  Admit();
  membership_->SayGoodbye();
  EXPECT_EQ(Count(wire::ToCoordinator::kGoodbye), 1);
  sent_.clear();
  Wait(10s);
  EXPECT_TRUE(sent_.empty());
  EXPECT_EQ(leases_lost_, 0);
}

TEST(ReportOutbox, RepeatsUntilAcknowledged) {
  std::vector<std::uint64_t> sent;
  bool connected = false;
  ReportOutbox outbox([&](const wire::GangReport& report) {
    if (connected) sent.push_back(report.report_id());
    return connected;
  });
  Instant now{1h};
  outbox.Add({}, now);
  outbox.Add({}, now);
  EXPECT_TRUE(sent.empty());
  connected = true;
  outbox.SendAll(now);
  EXPECT_EQ(sent, (std::vector<std::uint64_t>{1, 2}));
  outbox.Acknowledge(1);
  outbox.Tick(now + Duration(900ms));
  EXPECT_EQ(sent.size(), 2u);
  outbox.Tick(now + ReportOutbox::kAgain);
  EXPECT_EQ(sent, (std::vector<std::uint64_t>{1, 2, 2}));
  outbox.Acknowledge(2);
  EXPECT_TRUE(outbox.empty());
}

}  // namespace
}  // namespace tutti::agent
