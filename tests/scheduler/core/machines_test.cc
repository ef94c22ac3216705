// Gangs over several machines: launched, watched and ended as one.
#include <gmock/gmock.h>

#include "tests/scheduler/core/world.h"

namespace tutti::core {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class Machines : public testing::Test {
 protected:
  World world;
  NodeId first, second;
  JobId job;

  void SetUp() override {
    world.Start();
    first = world.AddNode(1, 2);
    second = world.AddNode(2, 2);
    job = world.AddQueued(5, World::Request(4, 4));
    world.Tick();
  }
  ReportEnded EndedOn(NodeId node, GangOutcome outcome) const {
    ReportEnded report = world.Ended(job, outcome);
    report.node = node;
    return report;
  }
  Effect Kill(NodeId node, std::string why) const {
    return StopGang{node, job, Attempt{1}, StopMode::kKill, std::move(why)};
  }
};

TEST_F(Machines, EveryMemberIsLaunched) {
  EXPECT_THAT(world.effects, UnorderedElementsAre(Effect{LaunchGang{first, job, Attempt{1}}},
                                                  Effect{LaunchGang{second, job, Attempt{1}}}));
  EXPECT_EQ(world.ledger.nodes.at(first).slots_used, 2U);
  EXPECT_EQ(world.ledger.nodes.at(second).slots_used, 2U);
}

TEST_F(Machines, ALaunchThatOneMachineMissedIsRepeatedThereAlone) {
  world.Beat(first, {world.Seen(job)});
  world.Beat(second);
  world.Pass(milliseconds(1500));
  world.effects.clear();
  world.Beat(first, {world.Seen(job)});
  world.Beat(second);
  world.Tick();
  EXPECT_THAT(world.effects, ElementsAre(Effect{LaunchGang{second, job, Attempt{1}}}));
}

// Its launch would arrive when the machine is lost and the gang lives elsewhere.
TEST_F(Machines, AMachineThatIsSilentIsLaunchedOnWhenItSpeaksAgain) {
  ASSERT_TRUE(world.Send(Cancel{job}));
  ASSERT_TRUE(world.Send(EndedOn(first, GangOutcome::kKilled)));
  world.Beat(first);
  world.Beat(second);
  world.Pass(milliseconds(6000));
  world.Beat(first);
  const JobId next = world.AddQueued(6, World::Request(4, 4));
  world.Tick();
  ASSERT_EQ(world.ledger.nodes.at(second).slots_used, 2U) << "it is not lost yet";
  EXPECT_THAT(world.effects, ElementsAre(Effect{LaunchGang{first, next, Attempt{1}}}));
  world.Pass(milliseconds(1100));
  world.Beat(first, {world.Seen(next)});
  world.Tick();
  EXPECT_THAT(world.effects, IsEmpty());
  world.Beat(second);
  world.Tick();
  EXPECT_THAT(world.effects, ElementsAre(Effect{LaunchGang{second, next, Attempt{1}}}));
}

// It may have been taken until the lease of a machine that says nothing is over, whatever the job
// is asked meanwhile.
TEST_F(Machines, ALaunchJustSentIsNotGivenUpWhenTheGangIsAskedToStop) {
  const auto second_passes = [&] {
    world.Pass(milliseconds(1000));
    world.Beat(first, {world.Seen(job)});
    world.Beat(second);  // it is there, and without the gang
    world.Tick();
  };
  const auto has_ended = [&] { return world.At(job).attempts.back().end != AttemptEnd::kNone; };
  for (int i = 0; i < 15; ++i) second_passes();
  ASSERT_THAT(world.effects, Contains(Effect{LaunchGang{second, job, Attempt{1}}}));
  ASSERT_TRUE(world.Send(Pause{job}));
  world.Tick();
  EXPECT_FALSE(has_ended());
  for (int i = 0; i < 8; ++i) second_passes();
  EXPECT_FALSE(has_ended());
  second_passes();
  EXPECT_TRUE(has_ended());
}

TEST_F(Machines, AGangIsWatchedUntilItRunsAndAllItsMachinesListIt) {
  const auto watched = [&] { return !world.liveness.watched.empty(); };
  world.Beat(first, {world.Seen(job)});
  world.Beat(second, {world.Seen(job)});
  world.Tick();
  EXPECT_TRUE(watched()) << "it has not started";
  world.Started(job);
  world.Tick();
  EXPECT_FALSE(watched());
  world.Beat(second);
  EXPECT_TRUE(watched()) << "one machine leaves it out";
  world.Beat(second, {world.Seen(job)});
  world.Tick();
  EXPECT_FALSE(watched());
  ASSERT_TRUE(world.Send(Pause{job}));
  EXPECT_TRUE(watched()) << "it stops";
}

TEST_F(Machines, WhatTheLedgerDoesNotHoldIsForgottenAndTheRestWatched) {
  world.Started(job);
  world.Beat(first, {world.Seen(job)});
  world.Beat(second, {world.Seen(job)});
  world.Tick();
  Reconcile(world.liveness, world.ledger);
  EXPECT_EQ(world.liveness.watched.size(), 1U);
  Reconcile(world.liveness, Ledger{});
  EXPECT_TRUE(world.liveness.watched.empty() && world.liveness.gangs.empty() &&
              world.liveness.ends.empty());
  world.Tick();  // as after a restart
  EXPECT_EQ(world.liveness.gangs.size(), 1U);
}

TEST_F(Machines, AGangThatOneMachineNoLongerListsIsLost) {
  world.Started(job);
  world.Beat(first, {world.Seen(job)});
  world.Beat(second, {world.Seen(job)});
  world.Tick();
  for (int i = 0; i < 20 && ActiveGang(world.At(job)) != nullptr; ++i) {
    world.Pass(milliseconds(500));
    world.Beat(first, {world.Seen(job)});
    world.Beat(second);
    world.Tick();
  }
  EXPECT_EQ(ActiveGang(world.At(job)), nullptr);
  EXPECT_THAT(world.effects, Contains(Kill(first, "missing")));
}

TEST_F(Machines, RankZerosMachineSpeaksForTheGang) {
  ASSERT_TRUE(world.Send(ReportStarted{second, job, Attempt{1}, 0}));
  EXPECT_THAT(world.new_facts, IsEmpty());
  ASSERT_TRUE(world.Send(ReportStarted{first, job, Attempt{1}, 0}));
  EXPECT_EQ(world.new_facts.size(), 1U);
  ASSERT_TRUE(world.Send(EndedOn(second, GangOutcome::kSucceeded)));
  EXPECT_THAT(world.new_facts, IsEmpty());
  EXPECT_NE(ActiveGang(world.At(job)), nullptr);
  ASSERT_TRUE(world.Send(EndedOn(first, GangOutcome::kSucceeded)));
  EXPECT_TRUE(IsFinished(world.At(job)));
  EXPECT_EQ(world.ledger.nodes.at(second).slots_used, 0U);
}

TEST_F(Machines, AFailureOnAnyMachineEndsTheGangEverywhere) {
  world.Started(job);
  ASSERT_TRUE(world.Send(EndedOn(second, GangOutcome::kFailed)));
  EXPECT_THAT(world.effects, Contains(Kill(first, "peers ended")));
  EXPECT_EQ(ActiveGang(world.At(job)), nullptr);
  world.Tick();
  EXPECT_EQ(world.At(job).attempt, Attempt{2});
}

TEST_F(Machines, ALostMachineEndsTheGangOnTheOthers) {
  world.Started(job);
  world.Beat(first, {world.Seen(job)});
  world.Beat(second, {world.Seen(job)});
  for (int i = 0; i < 20; ++i) {
    world.Pass(milliseconds(500));
    world.Beat(first, {world.Seen(job)});
    world.Tick();
    if (ActiveGang(world.At(job)) == nullptr) break;
  }
  EXPECT_EQ(ActiveGang(world.At(job)), nullptr);
  EXPECT_EQ(world.ledger.nodes.at(second).state, NodeState::kLost);
  EXPECT_THAT(world.effects, Contains(Kill(first, "peers lost")));
}

TEST_F(Machines, AWorkerThatRestartedWithoutTheGangEndsItOnTheOthersAtOnce) {
  world.Started(job);
  ASSERT_TRUE(world.Send(RegisterNode{.node = second,
                                      .name = "worker-2",
                                      .session = 99,
                                      .version = "1",
                                      .slots = 2,
                                      .cores = 2,
                                      .memory_bytes = std::uint64_t{64} << 30,
                                      .cpu_model = "",
                                      .numerics_fingerprint = "cpu",
                                      .gangs = {}}));
  EXPECT_EQ(ActiveGang(world.At(job)), nullptr);
  EXPECT_THAT(world.effects, Contains(Kill(first, "peers ended")));
}

TEST_F(Machines, AStopGoesToEveryMember) {
  world.Started(job);
  ASSERT_TRUE(world.Send(Pause{job}));
  EXPECT_THAT(world.effects,
              UnorderedElementsAre(
                  Effect{StopGang{first, job, Attempt{1}, StopMode::kCheckpoint, "pause"}},
                  Effect{StopGang{second, job, Attempt{1}, StopMode::kCheckpoint, "pause"}}));
}

}  // namespace
}  // namespace tutti::core
