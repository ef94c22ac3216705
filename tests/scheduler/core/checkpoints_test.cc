// Which of a job's checkpoints the ledger knows.
#include <gmock/gmock.h>

#include "tests/scheduler/core/world.h"

namespace tutti::core {
namespace {

using testing::ElementsAre;

class Checkpoints : public testing::Test {
 protected:
  World world;
  NodeId node;
  JobId job;

  void SetUp() override {
    world.Start();
    node = world.AddNode(1, 4);
    job = world.AddQueued(1, World::Request(1, 1));
    world.Tick();
    world.Started(job);
  }
  void Report(std::uint64_t step, std::uint64_t best_step, std::uint32_t keep) {
    ReportCheckpoint report{node, job, Attempt{1}, step, "p", "d", 1};
    report.best_step = best_step;
    report.keep = keep;
    ASSERT_TRUE(world.Send(report));
  }
  std::vector<std::uint64_t> Steps() const {
    std::vector<std::uint64_t> steps;
    for (const CheckpointRecord& each : world.At(job).checkpoints) steps.push_back(each.step);
    return steps;
  }
};

TEST_F(Checkpoints, ThatWereCollectedAreForgottenButNotTheBest) {
  for (std::uint64_t step = 1; step <= 5; ++step) Report(step, 2, 2);
  EXPECT_THAT(Steps(), ElementsAre(2, 4, 5));
  EXPECT_EQ(world.Replayed(), world.ledger);
}

TEST_F(Checkpoints, TheBestStaysBesideTheNewestThatAreRemembered) {
  for (std::uint64_t step = 1; step <= 40; ++step) Report(step, 3, 0);
  ASSERT_EQ(Steps().size(), kCheckpointRecordsMax + 1);
  EXPECT_EQ(Steps()[0], 3U);
  EXPECT_EQ(Steps()[1], 40 - kCheckpointRecordsMax + 1);
}

}  // namespace
}  // namespace tutti::core
