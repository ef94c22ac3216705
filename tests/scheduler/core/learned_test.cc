// What ended jobs teach of those to come.
#include "scheduler/core/learned.h"

#include <gtest/gtest.h>

#include <cmath>

#include "scheduler/core/place.h"
#include "scheduler/core/throughput.h"
#include "tests/scheduler/core/world.h"

namespace tutti::core {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kJobSteps = 10;

// What a job really takes.
struct Truth {
  Duration launch;
  Duration step;
  Duration ending;
};

// One worker of one slot; each job is predicted to take a second a step.
class LearnedTest : public testing::Test {
 protected:
  World world;
  std::uint64_t jobs = 0;

  void SetUp() override {
    world.Start();
    world.AddNode(1, 1);
  }
  JobId Add() {
    const JobId id = world.AddJob(++jobs, World::Request(1, 1));
    InspectFinished inspected;
    inspected.job = id;
    inspected.outcome = InspectOutcome::kAdmitted;
    inspected.estimate.total_steps = kJobSteps;
    inspected.estimate.duration_ms = kJobSteps * 1000;
    EXPECT_TRUE(world.Send(inspected));
    return id;
  }
  void Pass(Duration time) {
    world.Pass(time);
    world.BeatAll();
  }
  void Tell(JobId id, std::uint64_t step, Duration each) {
    Observe(
        world.liveness,
        Sighting{ProgressSeen{.job = id,
                              .attempt = world.At(id).attempt,
                              .step = step,
                              .step_ms = std::chrono::duration<double, std::milli>(each).count(),
                              .prior_step_ms = PriorStepMs(world.At(id), 1),
                              .total_steps = kJobSteps}},
        world.now);
  }
  void Start(JobId id, Duration launch) {
    world.Tick();
    ASSERT_NE(ActiveGang(world.At(id)), nullptr);
    Pass(launch);
    world.Started(id);
  }
  void End(JobId id, GangOutcome outcome, std::uint64_t step) {
    ReportEnded report = world.Ended(id, outcome);
    report.step = step;
    ASSERT_TRUE(world.Send(report));
  }
  void Run(const Truth& truth) { Run(Add(), truth); }
  void Run(JobId id, const Truth& truth) {
    Start(id, truth.launch);
    Pass(kJobSteps * truth.step);
    Tell(id, kJobSteps, truth.step);
    Pass(truth.ending);
    End(id, GangOutcome::kSucceeded, kJobSteps);
  }
  // Of a job that is not there any more: it does not stand in the way.
  Span Predicted() {
    const JobId id = Add();
    const Span span = *PredictRun(world.At(id), world.ledger.learned, 1);
    EXPECT_TRUE(world.Send(Cancel{id}));
    return span;
  }
  static double Width(const Span& span) {
    return std::chrono::duration<double>(span.high - span.low) / span.value;
  }
};

TEST_F(LearnedTest, BeginsWithAdmissionsTimeAndASecond) {
  const Span span = Predicted();
  EXPECT_EQ(span.value, 11s);
  EXPECT_LT(span.low, 4s);
  EXPECT_GT(span.high, 30s);
}

TEST_F(LearnedTest, PredictedEndsApproachWhatJobsTake) {
  const Truth truth{3s, 2s, 5s};
  const Span before = Predicted();
  for (int i = 0; i < 10; ++i) Run(truth);
  const Span after = Predicted();
  EXPECT_LT(after.low, 28s);
  EXPECT_GT(after.high, 28s);
  EXPECT_NEAR(std::chrono::duration<double>(after.value).count(), 28, 3);
  EXPECT_LT(Width(after), Width(before) / 2);
}

TEST_F(LearnedTest, TheIntervalWidensWhenJobsDiffer) {
  for (int i = 0; i < 15; ++i) Run({1s, 1s, 1s});
  const Span alike = Predicted();
  for (int i = 0; i < 15; ++i) Run(i % 2 == 0 ? Truth{1s, 500ms, 1s} : Truth{4s, 2s, 6s});
  const Span different = Predicted();
  EXPECT_GT(Width(different), 2 * Width(alike));
}

TEST_F(LearnedTest, OneWildJobDoesNotRuinIt) {
  for (int i = 0; i < 10; ++i) Run({1s, 1s, 2s});
  const Span before = Predicted();
  Run({30s, 60s, 1h});
  const Span after = Predicted();
  EXPECT_LT(after.value, before.value + before.value / 10);
  EXPECT_LT(after.high, 2 * before.high);
}

TEST_F(LearnedTest, AChangeForGoodIsLearnedAllTheSame) {
  for (int i = 0; i < 20; ++i) Run({1s, 1s, 2s});
  for (int i = 0; i < 60; ++i) Run({1s, 5s, 2s});
  EXPECT_NEAR(std::chrono::duration<double>(Predicted().value).count(), 53, 6);
}

TEST_F(LearnedTest, AShortTrainingSaysLittleOfSteps) {
  for (int i = 0; i < 10; ++i) Run({1s, 1ms, 1s});
  EXPECT_GT(PaceOf(world.ledger.learned).value, 0.5);
  EXPECT_NEAR(LaunchMsOf(world.ledger.learned).value, 1000, 100);
}

TEST_F(LearnedTest, WhoNeverSaidHowFarItWasTeachesNothing) {
  const JobId id = Add();
  Start(id, 2s);
  Pass(60s);
  End(id, GangOutcome::kSucceeded, kJobSteps);
  EXPECT_EQ(world.ledger.learned, Learned{});
  EXPECT_EQ(world.At(id).attempts[0].steps_ms, 0U);
  EXPECT_EQ(world.At(id).attempts[0].ran_ms, 62'000U);
}

TEST_F(LearnedTest, AWordOfTheInstantOfItsStartIsNoMeasurement) {
  const JobId id = Add();
  Start(id, 2s);
  Tell(id, 1, 1s);
  Pass(60s);
  End(id, GangOutcome::kSucceeded, kJobSteps);
  EXPECT_EQ(world.ledger.learned, Learned{});
  EXPECT_EQ(world.At(id).attempts[0].steps_ms, 0U);
}

TEST_F(LearnedTest, TimesThatDoNotAddUpTeachNothing) {
  Learned learned;
  Learn(learned, {.prior_ms = 10, .launch_ms = 5, .steps_ms = 10, .ran_ms = 14});
  Learn(learned, {.prior_ms = 10, .launch_ms = ~0ULL, .steps_ms = 10, .ran_ms = 14});
  EXPECT_EQ(learned, Learned{});
}

TEST_F(LearnedTest, ReplayAndRebuildKnowTheSame) {
  for (int i = 0; i < 5; ++i) Run({2s, 3s, 1s});
  EXPECT_NE(world.ledger.learned, Learned{});
  EXPECT_TRUE(world.Replayed() == world.ledger);
  EXPECT_TRUE(Rebuild(Dismantle(world.ledger)) == world.ledger);
}

// ---- a job that ran itself ----------------------------------------------------------------------

TEST_F(LearnedTest, AMeasuredStepHasNeitherLaunchNorEndInIt) {
  const JobId id = Add();
  Start(id, 6s);
  Pass(8s);
  Tell(id, 4, 2s);
  Pass(2s);  // one more step, of which nobody told
  ASSERT_TRUE(world.Send(Pause{id}));
  world.Checkpoint(id, 5);
  Pass(5s);
  End(id, GangOutcome::kReleased, 5);
  const Job& job = world.At(id);
  EXPECT_EQ(job.attempts[0].steps_ms, 10'000U);
  EXPECT_EQ(job.attempts[0].ran_ms, 21'000U);
  EXPECT_NEAR(StepMs(job, world.ledger.learned, 1)->value, 2000, 1);
  EXPECT_EQ(*WorkLeftMs(job, world.ledger.learned), 10'000U);
}

TEST_F(LearnedTest, WorkIsComparedInAdmissionsTime) {
  for (int i = 0; i < 20; ++i) Run({1s, 2s, 1s});
  const JobId ran = Add();
  Start(ran, 1s);
  Pass(10s);
  Tell(ran, 5, 2s);
  ASSERT_TRUE(world.Send(Pause{ran}));
  world.Checkpoint(ran, 5);
  End(ran, GangOutcome::kReleased, 5);
  ASSERT_TRUE(world.Send(Resume{ran}));
  const JobId fresh = Add();
  // Each step takes twice what admission says, of both.
  EXPECT_NEAR(static_cast<double>(*PriorWorkLeftMs(world.At(ran))), 5000, 500);
  EXPECT_EQ(*PriorWorkLeftMs(world.At(fresh)), 10'000U);
  EXPECT_NEAR(static_cast<double>(*WorkLeftMs(world.At(ran), world.ledger.learned)), 10'000, 1);
  EXPECT_NEAR(static_cast<double>(*WorkLeftMs(world.At(fresh), world.ledger.learned)), 20'000,
              2000);
  // One that ends teaches, and the order of those that wait still follows from them.
  ASSERT_TRUE(world.Send(SetPriority{fresh, 1}));
  const Learned before = world.ledger.learned;
  Run(fresh, {1s, 1s, 1s});
  EXPECT_NE(world.ledger.learned, before);
  EXPECT_EQ(SanityCheck(world.ledger), "");
}

TEST_F(LearnedTest, AGangThatStartsHasItsLaunchAheadAndOneThatRunsHasNot) {
  for (int i = 0; i < 20; ++i) Run({5s, 1s, 1s});
  const JobId id = Add();
  world.Tick();
  Pass(2s);
  const State state{world.ledger, world.liveness, DefaultPolicy()};
  const auto seconds = [&] {
    return std::chrono::duration<double>(PredictEnd(world.At(id), state, world.now)->value).count();
  };
  EXPECT_NEAR(seconds(), 14, 1);
  Pass(6s);
  world.Started(id);
  EXPECT_NEAR(seconds(), 11, 1) << "its launch took longer: that is no training";
  Pass(4s);
  EXPECT_NEAR(seconds(), 7, 1);
}

// A busy cluster slows what is to come before the first of its jobs has ended.
TEST_F(LearnedTest, WhatRunsNowTellsOfThoseToCome) {
  for (int i = 0; i < 20; ++i) Run({1s, 1s, 1s});
  world.AddNode(2, 8);
  const State state{world.ledger, world.liveness, DefaultPolicy()};
  std::vector<JobId> running;
  for (int i = 0; i < 8; ++i) running.push_back(Add());
  const JobId waits = Add();
  const auto predicted = [&] { return *PredictRun(world.At(waits), LearnedNow(state), 1); };
  const Span usual = predicted();
  for (const JobId id : running) Start(id, 1s);
  Pass(8s);
  Tell(running[0], 2, 4s);
  const Span one = predicted();
  for (const JobId id : running) Tell(id, 2, 4s);
  const Span busy = predicted();
  EXPECT_GT(one.value, usual.value);
  EXPECT_LT(one.value, 2 * usual.value) << "it may have reasons of its own";
  EXPECT_GT(busy.value, 2 * usual.value);
  EXPECT_LT(busy.low, usual.value) << "they may end";
  EXPECT_GT(busy.high, 42s) << "ten steps of four seconds";
  for (const JobId id : running) End(id, GangOutcome::kKilled, 2);
  EXPECT_EQ(state.liveness.pace.gangs, 0);
  EXPECT_EQ(predicted().value, usual.value);
}

}  // namespace
}  // namespace tutti::core
