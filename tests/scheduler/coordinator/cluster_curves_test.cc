#include "scheduler/coordinator/cluster_curves.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/scheduler/core/world.h"

namespace tutti::coordinator {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::Not;
using testing::Pair;

class ClusterCurvesTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(directory);
    fs::create_directories(directory);
    history = history::History::Open({.path = directory / "history.db"});
    curves.emplace(*history);
    world.Start();
    node = world.AddNode(1, 4);
  }
  void TearDown() override {
    history.reset();
    fs::remove_all(directory);
  }
  void See(double cpu_seconds) {
    core::Observe(world.liveness,
                  core::Sighting{core::WorkerSeen{.node = node,
                                                  .at = {},
                                                  .session = 7,
                                                  .gangs = {},
                                                  .memory_used_bytes = 123,
                                                  .disk_free_bytes = 456,
                                                  .cpu_seconds = cpu_seconds}},
                  world.now);
  }
  std::vector<history::Sample> Samples() {
    const core::State state{world.ledger, world.liveness, core::DefaultPolicy()};
    return curves->SamplesOf(state, world.now, WallTime{99});
  }

  fs::path directory = fs::path(testing::TempDir()) / ("curves-" + std::to_string(::getpid()));
  core::World world;
  std::unique_ptr<history::History> history;
  std::optional<ClusterCurves> curves;
  NodeId node;
};

TEST_F(ClusterCurvesTest, TheClustersQueueAndSlots) {
  const JobId running = world.AddQueued(5, core::World::Request(2, 2));
  world.Tick();
  world.Started(running);
  world.AddQueued(6, core::World::Request(4, 4));
  const auto samples = Samples();
  ASSERT_EQ(samples.size(), 2U);
  EXPECT_EQ(samples[0].subject, kClusterSubject);
  EXPECT_EQ(samples[0].at.unix_ms, 99);
  EXPECT_THAT(samples[0].values, Contains(Pair("jobs_queued", 1)));
  EXPECT_THAT(samples[0].values, Contains(Pair("jobs_running", 1)));
  EXPECT_THAT(samples[0].values, Contains(Pair("slots_total", 4)));
  EXPECT_THAT(samples[0].values, Contains(Pair("slots_used", 2)));
}

TEST_F(ClusterCurvesTest, AWorkersProcessorIsAShareOfItsCores) {
  See(100);
  EXPECT_THAT(Samples()[1].values, Not(Contains(Pair("cpu_ratio", testing::_))))
      << "nothing to compare with yet";
  world.Pass(std::chrono::seconds(10));
  See(120);
  const auto samples = Samples();
  EXPECT_EQ(samples[1].subject, "worker/worker-1");
  EXPECT_THAT(samples[1].values, Contains(Pair("cpu_ratio", 0.5)));
  EXPECT_THAT(samples[1].values, Contains(Pair("memory_used_bytes", 123)));
  EXPECT_THAT(samples[1].values, Contains(Pair("disk_free_bytes", 456)));
}

TEST_F(ClusterCurvesTest, AMachineThatStartedAnewCountsFromZero) {
  See(100);
  Samples();
  world.Pass(std::chrono::seconds(10));
  See(3);
  EXPECT_THAT(Samples()[1].values, Not(Contains(Pair("cpu_ratio", testing::_))));
  world.Pass(std::chrono::seconds(10));
  See(7);
  EXPECT_THAT(Samples()[1].values, Contains(Pair("cpu_ratio", 0.1)));
}

TEST_F(ClusterCurvesTest, ALostWorkerTellsNothing) {
  ASSERT_TRUE(world.Send(core::Goodbye{node}));
  EXPECT_EQ(Samples().size(), 1U);
}

}  // namespace
}  // namespace tutti::coordinator
