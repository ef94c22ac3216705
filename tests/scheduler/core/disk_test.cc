// Disk is compared with what a job will write before it starts.
#include "scheduler/core/disk.h"

#include <gmock/gmock.h>

#include "scheduler/core/explain.h"
#include "tests/scheduler/core/world.h"

namespace tutti::core {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint64_t kMiB = 1 << 20;

class Disk : public testing::Test {
 protected:
  World world;
  NodeId node;

  void SetUp() override {
    world.Start();
    node = world.AddNode(1, 8, "cpu", 1000 * kMiB);
    Free(node, 500);
  }
  void Free(NodeId id, std::uint64_t mib, std::vector<GangSeen> gangs = {}) {
    Observe(world.liveness,
            Sighting{WorkerSeen{.node = id,
                                .at = {},
                                .session = 7,
                                .gangs = std::move(gangs),
                                .disk_free_bytes = mib * kMiB}},
            world.now);
  }
  // Inspected, with a prediction of so many MiB.
  JobId Add(std::uint64_t bits, std::uint64_t disk_mib, std::uint64_t export_mib = 0) {
    const JobId id = world.AddJob(bits, World::Request(1, 1));
    EXPECT_TRUE(world.Send(InspectFinished{.job = id,
                                           .outcome = InspectOutcome::kAdmitted,
                                           .estimate = {.disk_bytes = disk_mib * kMiB,
                                                        .export_bytes = export_mib * kMiB,
                                                        .warnings = {}},
                                           .message = "",
                                           .where = ""}));
    return id;
  }
  bool Placed(JobId id) const { return ActiveGang(world.At(id)) != nullptr; }
  Shown ShownOf(JobId id) const {
    const State state{world.ledger, world.liveness, DefaultPolicy()};
    const auto pending = ExplainQueue(state, 10);
    const auto found = pending.find(id);
    return Show(state, world.At(id), found == pending.end() ? nullptr : &found->second);
  }
};

TEST_F(Disk, AJobWaitsForRoomAndSaysSoWhileOthersPass) {
  const JobId large = Add(1, 600);
  const JobId small = Add(2, 100);
  world.Tick();
  EXPECT_FALSE(Placed(large));
  EXPECT_TRUE(Placed(small));
  EXPECT_EQ(ShownOf(large).reason, "resources");
  EXPECT_THAT(ShownOf(large).message, HasSubstr("needs 600.0 MiB of disk"));
  EXPECT_THAT(ShownOf(large).message, HasSubstr("400.0 MiB free"));
  Free(node, 900);
  world.Tick();
  EXPECT_TRUE(Placed(large));
}

TEST_F(Disk, WhatRunningAndJustPlacedGangsWillStillWriteIsNotFree) {
  const JobId first = Add(1, 300);
  const JobId second = Add(2, 300);
  world.Tick();
  EXPECT_TRUE(Placed(first));
  EXPECT_FALSE(Placed(second));
  world.Tick();
  EXPECT_FALSE(Placed(second));
  // Half of the first one's is written: that is taken, and no longer expected.
  world.Started(first);
  for (const std::uint64_t step : {10, 20}) {
    ASSERT_TRUE(
        world.Send(ReportCheckpoint{node, first, Attempt{1}, step, "p", "sha256:", 75 * kMiB}));
  }
  EXPECT_EQ(DiskNeeded(world.At(first)), 150 * kMiB);
  Free(node, 350, {world.Seen(first)});
  world.Tick();
  EXPECT_FALSE(Placed(second));
  Free(node, 450, {world.Seen(first)});
  world.Tick();
  EXPECT_TRUE(Placed(second));
}

TEST_F(Disk, WhatNoRegisteredDiskCouldHoldIsRejectedWithTheNumbers) {
  const JobId huge = Add(1, 1001);
  const auto& failed = std::get<Failed>(world.At(huge).phase);
  EXPECT_EQ(failed.reason, spec::FailureReason::kDiskFull);
  EXPECT_THAT(failed.message, HasSubstr("1001.0 MiB"));
  EXPECT_THAT(failed.message, HasSubstr("1000.0 MiB"));
  EXPECT_THAT(failed.message, HasSubstr("save_total_limit"));
}

TEST_F(Disk, TheFinishedModelHasToFitWhereTheCoordinatorKeepsIt) {
  Observe(world.liveness, Sighting{StoreSeen{100 * kMiB, 10 * kMiB}}, world.now);
  const JobId waits = Add(1, 50, 20);
  world.Tick();
  EXPECT_FALSE(Placed(waits));
  EXPECT_THAT(ShownOf(waits).message, HasSubstr("coordinator's disk has 10.0 MiB free"));
  const JobId never = Add(2, 150, 120);
  EXPECT_EQ(std::get<Failed>(world.At(never).phase).reason, spec::FailureReason::kDiskFull);
  Observe(world.liveness, Sighting{StoreSeen{100 * kMiB, 30 * kMiB}}, world.now);
  world.Tick();
  EXPECT_TRUE(Placed(waits));
}

TEST_F(Disk, AFullDiskIsNotAnUnknownOne) {
  Free(node, 0);
  const JobId job = Add(1, 1);
  world.Tick();
  EXPECT_FALSE(Placed(job));
  // A worker that does not say how large its disk is gets jobs as before.
  world.AddNode(2, 8);
  world.Tick();
  EXPECT_TRUE(Placed(job));
}

TEST_F(Disk, TooFewSlotsAreStillTheReasonWhenTheyAre) {
  JobRequest request = World::Request(8, 8);
  const JobId first = world.AddQueued(1, request);
  const JobId second = world.AddQueued(2, request);
  world.Tick();
  ASSERT_TRUE(Placed(first));
  EXPECT_THAT(ShownOf(second).message, HasSubstr("slots are free"));
  EXPECT_THAT(world.new_facts, testing::Not(IsEmpty()));
}

}  // namespace
}  // namespace tutti::core
