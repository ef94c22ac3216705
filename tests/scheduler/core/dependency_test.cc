// Jobs that wait for others.
#include "scheduler/core/explain.h"
#include "tests/scheduler/core/world.h"

namespace tutti::core {
namespace {

class DependencyTest : public testing::Test {
 protected:
  World world;

  void SetUp() override { world.AddNode(1, 8); }
  JobId After(std::uint64_t bits, std::vector<JobId> others) {
    JobRequest request = World::Request(1, 1);
    request.depends_on = std::move(others);
    return world.AddQueued(bits, request);
  }
  bool Holds(JobId id) const { return ActiveGang(world.At(id)) != nullptr; }
  void Finish(JobId id, GangOutcome outcome = GangOutcome::kSucceeded) {
    ReportEnded report = world.Ended(id, outcome);
    report.reason = spec::FailureReason::kOom;  // never retried
    EXPECT_TRUE(world.Send(report));
  }
  Shown Show(JobId id) {
    const State state{world.ledger, world.liveness, DefaultPolicy()};
    return core::Show(state, world.At(id), nullptr);
  }
};

TEST_F(DependencyTest, AJobStartsOnceAllItDependsOnHaveSucceeded) {
  const JobId a = world.AddQueued(1, World::Request(1, 1));
  const JobId b = world.AddQueued(2, World::Request(1, 1));
  const JobId after = After(3, {a, b});
  world.Tick();
  EXPECT_FALSE(Holds(after));
  EXPECT_EQ(Show(after).reason, "dependency");
  EXPECT_NE(Show(after).message.find("and 1 more"), std::string::npos) << Show(after).message;
  Finish(a);
  world.Tick();
  EXPECT_FALSE(Holds(after));
  Finish(b);
  world.Tick();
  EXPECT_TRUE(Holds(after));
  EXPECT_TRUE(world.Replayed() == world.ledger);
}

TEST_F(DependencyTest, WhatDependsOnAJobThatFailedIsCancelledAndSaysWhy) {
  const JobId a = world.AddQueued(1, World::Request(1, 1));
  const JobId after = After(2, {a});
  const JobId last = After(3, {after});
  world.Tick();
  Finish(a, GangOutcome::kFailed);
  ASSERT_TRUE(std::holds_alternative<Cancelled>(world.At(after).phase));
  EXPECT_EQ(Show(after).message, "it depends on " + a.ToString() + ", which failed");
  EXPECT_EQ(Show(last).message, "it depends on " + after.ToString() + ", which was cancelled");
  EXPECT_TRUE(world.ledger.dependents.empty());
}

TEST_F(DependencyTest, ACancelledJobTakesThoseAlongThatAreStillValidatedOrPaused) {
  const JobId a = world.AddQueued(1, World::Request(1, 1));
  JobRequest request = World::Request(1, 1);
  request.depends_on = {a};
  const JobId validating = world.AddJob(2, request);
  const JobId paused = After(3, {a});
  ASSERT_TRUE(world.Send(Pause{paused}));
  ASSERT_TRUE(world.Send(Cancel{a}));
  EXPECT_TRUE(IsFinished(world.At(validating)) && IsFinished(world.At(paused)));
}

TEST_F(DependencyTest, UnknownAndFailedOnesAreRefusedWithWhatToDo) {
  JobRequest request = World::Request(1, 1);
  request.depends_on = {JobId{99}};
  Submit submit;
  submit.job = JobId{1};
  submit.request = request;
  const auto unknown = world.Send(submit);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().where, "schedule.depends_on");
  const JobId a = world.AddQueued(2, World::Request(1, 1));
  ASSERT_TRUE(world.Send(Cancel{a}));
  submit.request.depends_on = {a};
  const auto failed = world.Send(submit);
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find("is cancelled"), std::string::npos);
  EXPECT_NE(failed.error().hint.find("tutti clone"), std::string::npos);
}

TEST_F(DependencyTest, WhatHasSucceededAlreadyIsNotWaitedFor) {
  const JobId a = world.AddQueued(1, World::Request(1, 1));
  world.Tick();
  Finish(a);
  const JobId after = After(2, {a});
  world.Tick();
  EXPECT_TRUE(Holds(after));
}

}  // namespace
}  // namespace tutti::core
