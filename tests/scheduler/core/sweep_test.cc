// Sweeps: trials come together, are compared at rungs, and lose nothing while they wait.
#include "scheduler/core/sweep.h"

#include <limits>

#include "scheduler/core/explain.h"
#include "tests/scheduler/core/world.h"

namespace tutti::core {
namespace {

constexpr std::uint64_t kSteps = 90;

class SweepTest : public testing::Test {
 protected:
  World world;
  std::vector<JobId> trials;

  void Add(std::uint32_t count, bool maximize = true, std::uint32_t slots = 16) {
    world.AddNode(1, slots);
    SubmitSweep sweep;
    for (std::uint32_t i = 0; i < count; ++i) {
      Submit trial;
      trial.job = JobId{i + 1};
      trial.request = World::Request(1, 1);
      trial.idempotency_key = "k#" + std::to_string(i);
      trial.request.trial = {.sweep = "s-1",
                             .number = i + 1,
                             .of = count,
                             .method = "asha",
                             .metric = "accuracy",
                             .maximize = maximize};
      sweep.trials.push_back(trial);
    }
    const auto reply = world.Send(sweep);
    ASSERT_TRUE(reply) << reply.error().ToString();
    trials = std::get<SweepReply>(*reply).jobs;
    for (const JobId id : trials) {
      InspectFinished inspected;
      inspected.job = id;
      inspected.outcome = InspectOutcome::kAdmitted;
      inspected.estimate.total_steps = kSteps;
      ASSERT_TRUE(world.Send(inspected));
    }
    Settle();
  }
  // Everything that may start starts.
  void Settle() {
    for (int i = 0; i < 4; ++i) world.Tick();
    const std::set<JobId> active = world.ledger.active;
    for (const JobId id : active) {
      if (std::holds_alternative<Starting>(world.At(id).phase)) world.Started(id);
    }
  }
  void Evaluate(std::size_t trial, std::uint64_t step, double value) {
    const JobId id = trials[trial];
    EXPECT_TRUE(world.Send(ReportEval{id, world.At(id).attempt, step, value}));
    if (std::holds_alternative<Stopping>(world.At(id).phase)) {
      world.Checkpoint(id, step);
      EXPECT_TRUE(world.Send(world.Ended(id, GangOutcome::kReleased)));
    }
    Settle();
  }
  const Job& Trial(std::size_t i) { return world.At(trials[i]); }
  bool Runs(std::size_t i) { return std::holds_alternative<Running>(Trial(i).phase); }
};

TEST_F(SweepTest, RungsAreThirdsOfTheWholeLength) {
  Add(9);
  EXPECT_EQ(RungSteps(Trial(0)), (std::vector<std::uint64_t>{10, 30}));
  Job few = Trial(0);
  few.request.trial.of = 8;
  EXPECT_EQ(RungSteps(few), (std::vector<std::uint64_t>{30}));
  few.request.trial.method = "grid";
  EXPECT_TRUE(RungSteps(few).empty());
}

TEST_F(SweepTest, ASweepComesWholeOrNotAtAllAndOnce) {
  Add(3);
  SubmitSweep again;
  for (std::uint32_t i = 0; i < 3; ++i) {
    Submit& trial = again.trials.emplace_back();
    trial.job = JobId{100 + i};
    trial.request = World::Request(1, 1);
    trial.idempotency_key = "k#" + std::to_string(i);
  }
  const auto reply = world.Send(again);
  ASSERT_TRUE(reply);
  EXPECT_EQ(std::get<SweepReply>(*reply).jobs, trials);
  EXPECT_FALSE(std::get<SweepReply>(*reply).created);
  again.trials[0].idempotency_key = "new";
  again.trials[0].request.name = "";
  const std::size_t before = world.ledger.jobs.size();
  EXPECT_FALSE(world.Send(again));
  EXPECT_EQ(world.ledger.jobs.size(), before);
}

TEST_F(SweepTest, TheBestThirdGoesOnWhileTheOthersWait) {
  Add(6);
  Evaluate(0, 30, 0.5);
  EXPECT_TRUE(IsAtRung(Trial(0))) << "the first one cannot be among the best third";
  Evaluate(1, 30, 0.4);
  EXPECT_TRUE(IsAtRung(Trial(1)));
  Evaluate(2, 29, 0.9);
  EXPECT_TRUE(Runs(2)) << "not at the rung yet";
  Evaluate(2, 31, 0.7);
  EXPECT_TRUE(Runs(2)) << "the best of three";
  EXPECT_EQ(Trial(2).rungs, std::vector<double>{0.7});
  EXPECT_EQ(Trial(2).attempts.size(), 1U);
}

TEST_F(SweepTest, WhoTurnsOutToBeAmongTheBestGoesOnFromItsCheckpoint) {
  Add(6);
  Evaluate(0, 30, 0.9);
  ASSERT_TRUE(IsAtRung(Trial(0)));
  Evaluate(1, 30, 0.1);
  Evaluate(2, 30, 0.2);
  EXPECT_TRUE(Runs(0)) << "now it is the best of three";
  EXPECT_EQ(Trial(0).checkpoints.back().step, 30U);
  EXPECT_EQ(Trial(0).fruitless_attempts, 0U);
}

TEST_F(SweepTest, WhenAllHaveComeTheLosersLeaveAndSayTheirPlace) {
  Add(4);
  for (std::size_t i = 0; i < 4; ++i) Evaluate(i, 30, 0.1 * static_cast<double>(i));
  EXPECT_TRUE(Runs(3));
  EXPECT_TRUE(Runs(2)) << "it was the best when it came: nobody is taken back";
  for (std::size_t i = 0; i < 2; ++i) {
    ASSERT_TRUE(std::holds_alternative<Cancelled>(Trial(i).phase)) << i;
  }
  EXPECT_NE(std::get<Cancelled>(Trial(0).phase).message.find("place 4 of 4 at rung 1"),
            std::string::npos);
  EXPECT_TRUE(world.Replayed() == world.ledger);
}

TEST_F(SweepTest, AtLeastTheBestOfFewGoesOn) {
  Add(2);
  Evaluate(0, 30, 0.1);
  Evaluate(1, 30, 0.2);
  EXPECT_TRUE(Runs(1));
  EXPECT_TRUE(std::holds_alternative<Cancelled>(Trial(0).phase));
}

TEST_F(SweepTest, LessIsBetterWhereTheSweepMinimizesAndNothingIsWorseThanNaN) {
  Add(3, false);
  Evaluate(0, 30, std::numeric_limits<double>::quiet_NaN());
  Evaluate(1, 30, 5.0);
  Evaluate(2, 30, 7.0);
  EXPECT_TRUE(Runs(1));
  EXPECT_TRUE(IsFinished(Trial(0)) && IsFinished(Trial(2)));
}

TEST_F(SweepTest, ATrialThatFailedIsNotWaitedFor) {
  Add(3);
  Evaluate(0, 30, 0.1);
  Evaluate(1, 30, 0.3);
  ASSERT_TRUE(world.Send(Cancel{trials[2]}));
  ASSERT_TRUE(world.Send(world.Ended(trials[2], GangOutcome::kKilled)));
  Settle();
  EXPECT_TRUE(Runs(1));
  EXPECT_TRUE(IsFinished(Trial(0)));
}

TEST_F(SweepTest, TwoRungsLeaveOneOfNine) {
  Add(9);
  for (std::size_t i = 0; i < 9; ++i) Evaluate(i, 10, 0.9 - 0.1 * static_cast<double>(i));
  for (const std::size_t i : {0U, 1U, 2U}) ASSERT_TRUE(Runs(i)) << i;
  for (const std::size_t i : {0U, 1U, 2U}) Evaluate(i, 30, 0.8 - 0.1 * static_cast<double>(i));
  EXPECT_TRUE(Runs(0));
  std::size_t left = 0;
  for (std::size_t i = 0; i < 9; ++i) left += IsFinished(Trial(i)) ? 0 : 1;
  EXPECT_EQ(left, 1U);
}

TEST_F(SweepTest, ATrialAtARungSaysItsPlace) {
  Add(6);
  Evaluate(0, 30, 0.5);
  Evaluate(1, 30, 0.4);
  const State state{world.ledger, world.liveness, DefaultPolicy()};
  const Shown shown = Show(state, Trial(1), nullptr);
  EXPECT_EQ(shown.reason, "rung");
  EXPECT_NE(shown.message.find("accuracy 0.4 is place 2 of 2 so far"), std::string::npos)
      << shown.message;
}

}  // namespace
}  // namespace tutti::core
