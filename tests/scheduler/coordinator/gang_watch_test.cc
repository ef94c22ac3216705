#include "scheduler/coordinator/gang_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "monitoring/metrics/metrics.h"
#include "tests/scheduler/core/world.h"

namespace tutti::coordinator {
namespace {

using core::GangSeen;
using core::StallSeen;

// A gang of four ranks on two workers.
class GangWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    world.Start();
    first = world.AddNode(1, 2);
    second = world.AddNode(2, 2);
    job = world.AddQueued(9, core::World::Request(4, 4));
    world.Tick();
    ASSERT_NE(core::ActiveGang(world.At(job)), nullptr);
    ASSERT_EQ(world.GangOf(job).members.size(), 2U);
  }

  void Beat(NodeId node, std::vector<StallSeen> stalls, std::vector<double> seconds) {
    GangSeen seen = world.Seen(job);
    seen.stalls = std::move(stalls);
    seen.compute_seconds = std::move(seconds);
    world.Beat(node, {seen});
    watch.Heard(State(), {seen});
  }
  void BeatBoth(std::vector<double> seconds_of_first, std::vector<double> seconds_of_second) {
    Beat(first, {}, std::move(seconds_of_first));
    Beat(second, {}, std::move(seconds_of_second));
  }
  core::State State() { return {world.ledger, world.liveness, core::DefaultPolicy()}; }
  GangHealth Health() { return HealthOf(State(), world.At(job)); }
  std::string MetricsText() const { return metrics.ToText(); }

  core::World world;
  metrics::Metrics metrics{"1", "r"};
  http::EventHub events{{}};
  GangWatch watch{events, metrics.training};
  NodeId first, second;
  JobId job;
};

TEST_F(GangWatchTest, AStalledRankIsNamedWithItsWorkerAndMeasuredWhileItStands) {
  Beat(second, {{.rank = 3, .collective = "reduce", .sequence = 171, .message = "stands"}}, {});
  const GangHealth health = Health();
  ASSERT_EQ(health.stalled.size(), 1U);
  EXPECT_EQ(health.stalled[0].worker, "worker-2");
  EXPECT_EQ(health.stalled[0].stall.rank, 3U);
  const std::string series = "tutti_train_stalled_ranks{job=\"" + job.ToString() + "\"} ";
  EXPECT_THAT(MetricsText(), testing::HasSubstr(series + "1"));
  Beat(second, {}, {});
  EXPECT_TRUE(Health().stalled.empty());
  EXPECT_THAT(MetricsText(), testing::HasSubstr(series + "0"));
}

TEST_F(GangWatchTest, StallsOfAnEndedAttemptAreNotShownOrMeasured) {
  Beat(first, {{.rank = 0, .message = "stands"}}, {});
  ASSERT_EQ(Health().stalled.size(), 1U);
  core::ReportEnded ended = world.Ended(job, core::GangOutcome::kFailed);
  ended.reason = spec::FailureReason::kHang;
  ASSERT_TRUE(world.Send(std::move(ended)));
  const core::State state = State();
  watch.OnStored({.first_seq = 1,
                  .facts = world.new_facts,
                  .view = {.state = &state, .store = nullptr, .read_only = false}});
  EXPECT_TRUE(Health().stalled.empty());
  EXPECT_THAT(MetricsText(),
              testing::HasSubstr("tutti_train_stalled_ranks{job=\"" + job.ToString() + "\"} 0"));
}

TEST_F(GangWatchTest, TheSlowestRankOfAllMachinesIsMeasuredAgainstTheMedian) {
  Beat(first, {}, {0.010, 0.011});
  EXPECT_FALSE(Health().slowest) << "the other machine has not told yet";
  Beat(second, {}, {0.012, 0.050});
  ASSERT_TRUE(Health().slowest);
  EXPECT_EQ(Health().slowest->rank, 3U);
  EXPECT_EQ(Health().slowest->worker, "worker-2");
  EXPECT_DOUBLE_EQ(Health().slowest->delay_seconds(), 0.050 - 0.011);
}

TEST_F(GangWatchTest, OnlyARankThatStaysSlowIsCalledAStraggler) {
  BeatBoth({0.010, 0.010}, {0.010, 0.050});
  EXPECT_EQ(watch.StragglerOf(job), nullptr);
  for (int i = 0; i < 6; ++i) BeatBoth({0.010, 0.010}, {0.010, 0.050});
  ASSERT_NE(watch.StragglerOf(job), nullptr);
  EXPECT_EQ(watch.StragglerOf(job)->rank, 3U);
  BeatBoth({0.010, 0.010}, {0.010, 0.011});
  EXPECT_EQ(watch.StragglerOf(job), nullptr);
}

TEST_F(GangWatchTest, ALittleSlowerIsNotSlow) {
  for (int i = 0; i < 20; ++i) BeatBoth({0.010, 0.010}, {0.010, 0.014});
  EXPECT_EQ(watch.StragglerOf(job), nullptr);
}

}  // namespace
}  // namespace tutti::coordinator
