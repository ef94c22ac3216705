#include "scheduler/core/predict.h"

#include <gtest/gtest.h>

#include "scheduler/core/explain.h"
#include "tests/scheduler/core/world.h"

namespace tutti::core {
namespace {

using namespace std::chrono_literals;

// One worker of four slots, full with two gangs of two.
class PredictTest : public testing::Test {
 protected:
  void SetUp() override {
    world.Start();
    world.AddNode(1, 4);
    first = world.AddQueued(1, World::Request(2, 2));
    second = world.AddQueued(2, World::Request(2, 2));
    world.Tick();
    ASSERT_NE(ActiveGang(world.At(first)), nullptr);
    ASSERT_NE(ActiveGang(world.At(second)), nullptr);
  }
  JobId Queue(std::uint64_t bits, std::uint32_t ranks, std::int64_t priority = 0) {
    JobRequest request = World::Request(ranks, ranks);
    request.priority = priority;
    return world.AddQueued(bits, request);
  }
  std::optional<Duration> StartOf(JobId job, const Ends& ends) {
    const auto starts = PredictStarts(State(), ends, 100);
    const auto found = starts.find(job);
    return found == starts.end() ? std::nullopt : std::optional<Duration>(found->second.value);
  }
  static Ends Exactly(const std::vector<std::pair<JobId, Duration>>& known) {
    Ends ends;
    for (const auto& [job, in] : known) ends.push_back({job, {in, in, in}});
    return ends;
  }
  core::State State() { return {world.ledger, world.liveness, DefaultPolicy()}; }

  World world;
  JobId first, second;
};

TEST_F(PredictTest, AJobStartsWhenEnoughHaveEnded) {
  const JobId small = Queue(3, 2), large = Queue(4, 4);
  const Ends ends = Exactly({{first, 100s}, {second, 60s}});
  EXPECT_EQ(StartOf(small, ends), 60s);
  EXPECT_EQ(StartOf(large, ends), std::nullopt) << "the small one stays, for how long nobody knows";
  EXPECT_EQ(StartOf(Queue(5, 1), ends), std::nullopt) << "it waits behind the large one";
}

TEST_F(PredictTest, TheOrderOfTheQueueCounts) {
  const JobId late = Queue(3, 2), urgent = Queue(4, 2, 5);
  const Ends ends = Exactly({{first, 100s}, {second, 60s}});
  EXPECT_EQ(StartOf(urgent, ends), 60s);
  EXPECT_EQ(StartOf(late, ends), 100s);
}

TEST_F(PredictTest, AJobThatStartsEndsInItsTime) {
  const JobId small = Queue(3, 4), next = Queue(4, 1);
  Estimate estimate;
  estimate.total_steps = 10;
  estimate.duration_ms = 10'000;
  world.ledger.jobs.at(small).estimate = estimate;
  const auto starts =
      PredictStarts(State(), {{first, {60s, 50s, 90s}}, {second, {40s, 30s, 100s}}}, 100);
  EXPECT_EQ(starts.at(small), (Span{60s, 50s, 100s})) << "the interval is that of those before";
  EXPECT_GT(starts.at(next).value, 69s);
  EXPECT_LT(starts.at(next).value, 75s);
  EXPECT_GT(starts.at(next).high, starts.at(next).value);
}

TEST_F(PredictTest, WhoseEndIsUnknownIsNotWaitedFor) {
  const JobId small = Queue(3, 2);
  EXPECT_EQ(StartOf(small, Exactly({{first, 100s}})), 100s);
  EXPECT_EQ(StartOf(small, {}), std::nullopt);
  EXPECT_EQ(StartOf(small, Exactly({{first, -5s}})), 0s) << "late already";
}

TEST_F(PredictTest, WhatNothingHereCanRunIsUnknownAndHoldsNobodyBack) {
  JobRequest request = World::Request(2, 2);
  request.memory_bytes_per_rank = std::uint64_t{60} << 30;
  const JobId never = world.AddQueued(3, World::Request(2, 2));
  world.ledger.jobs.at(never).request = request;
  const JobId small = Queue(4, 2);
  EXPECT_EQ(StartOf(never, Exactly({{first, 10s}, {second, 10s}})), std::nullopt);
  EXPECT_EQ(StartOf(small, Exactly({{first, 10s}})), 10s);
}

TEST_F(PredictTest, AJobThatIsNotSubmittedYetStandsBehindItsEquals) {
  Queue(3, 2, 0);
  Job submitted;
  submitted.request = World::Request(2, 2);
  const Ends ends = Exactly({{first, 100s}, {second, 60s}});
  EXPECT_EQ(PredictStart(State(), ends, submitted)->value, 100s);
  submitted.request.priority = 1;
  EXPECT_EQ(PredictStart(State(), ends, submitted)->value, 60s);
}

TEST_F(PredictTest, NothingStartsWhileTheClusterStops) {
  const JobId small = Queue(3, 2);
  Observe(world.liveness, Sighting{DrainBegun{}}, world.now);
  EXPECT_EQ(StartOf(small, Exactly({{first, 10s}})), std::nullopt);
}

// ---- why jobs wait -----------------------------------------------------------------------------

TEST_F(PredictTest, EveryWaitingJobHasItsMissingSlotsAndWhoIsAhead) {
  const JobId large = Queue(3, 4), small = Queue(4, 1);
  const auto why = ExplainQueue(State(), 100);
  EXPECT_EQ(why.at(large).missing.slots, 4U);
  EXPECT_EQ(why.at(large).jobs_ahead, 0U);
  EXPECT_NE(why.at(large).message.find("4 slots are missing"), std::string::npos)
      << why.at(large).message;
  EXPECT_EQ(why.at(small).reason, spec::PendingReason::kPriority);
  EXPECT_EQ(why.at(small).jobs_ahead, 1U);
  EXPECT_EQ(why.at(small).missing.slots, 1U);
  EXPECT_NE(why.at(small).message.find("which needs 4 slots"), std::string::npos)
      << why.at(small).message;
}

TEST_F(PredictTest, AJobThatIsLookedAtSaysWhere) {
  const JobId fresh = world.AddJob(7, World::Request(1, 1));
  world.Tick();
  EXPECT_EQ(Show(State(), world.At(fresh), nullptr).message,
            "its model and data are looked at on worker worker-1");
  const JobId next = world.AddJob(8, World::Request(1, 1));
  EXPECT_EQ(Show(State(), world.At(next), nullptr).message,
            "its model and data are looked at after those of 1 other job");
}

TEST_F(PredictTest, AJobThatStartsSaysWhere) {
  EXPECT_EQ(Show(State(), world.At(first), nullptr).message, "2 ranks start on worker-1");
}

}  // namespace
}  // namespace tutti::core
