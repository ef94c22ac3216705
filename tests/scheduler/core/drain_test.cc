// Emptying a node: what runs there goes on elsewhere, and nothing comes until it is undrained.
#include <gmock/gmock.h>

#include "scheduler/core/explain.h"
#include "tests/scheduler/core/world.h"

namespace tutti::core {
namespace {

using spec::JobState;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Drain : public testing::Test {
 protected:
  World world;
  NodeId first, second;

  void SetUp() override {
    world.Start();
    first = world.AddNode(1, 2);
    second = world.AddNode(2, 2);
  }
  JobId RunningJob(std::uint64_t bits, std::uint32_t ranks) {
    const JobId id = world.AddQueued(bits, World::Request(ranks, ranks));
    world.Tick();
    world.Started(id);
    for (const GangMember& member : world.GangOf(id).members) {
      world.Beat(member.node, {world.Seen(id)});
    }
    return id;
  }
  Shown ShownOf(JobId id) const {
    const State state{world.ledger, world.liveness, DefaultPolicy()};
    const auto pending = ExplainQueue(state, 10);
    const auto found = pending.find(id);
    return Show(state, world.At(id), found == pending.end() ? nullptr : &found->second);
  }
};

TEST_F(Drain, TheGangStopsWithACheckpointAndGoesOnElsewhereWithoutCountingAsAFailure) {
  const JobId job = RunningJob(5, 2);
  ASSERT_EQ(world.GangOf(job).members[0].node, first);
  ASSERT_TRUE(world.Send(DrainNode{first}));
  EXPECT_THAT(world.new_facts,
              ElementsAre(Fact{NodeDrained{first, true, WallTime{1}}},
                          Fact{StopRequested{job, Attempt{1}, StopWhy::kDrain, WallTime{1}}}));
  EXPECT_THAT(
      world.effects,
      ElementsAre(Effect{StopGang{first, job, Attempt{1}, StopMode::kCheckpoint, "drain"}}));
  EXPECT_EQ(ShownOf(job).reason, "drain");
  EXPECT_THAT(ShownOf(job).message, HasSubstr("worker-1 is draining"));

  ASSERT_TRUE(world.Send(world.Ended(job, GangOutcome::kReleased)));
  world.Tick();
  EXPECT_EQ(world.GangOf(job).members[0].node, second);
  EXPECT_EQ(world.At(job).fruitless_attempts, 0U);
  EXPECT_EQ(world.Replayed(), world.ledger);
}

TEST_F(Drain, AGangOfSeveralNodesLeavesAllOfThem) {
  const JobId job = RunningJob(5, 4);
  ASSERT_TRUE(world.Send(DrainNode{second}));
  EXPECT_EQ(world.effects.size(), 2U);
  ASSERT_TRUE(world.Send(world.Ended(job, GangOutcome::kReleased)));
  world.Tick();
  EXPECT_EQ(ActiveGang(world.At(job)), nullptr);
  EXPECT_EQ(ShownOf(job).reason, "resources");
  EXPECT_THAT(ShownOf(job).message, HasSubstr("worker-2 draining"));
}

TEST_F(Drain, GangsOfOtherNodesGoOn) {
  const JobId job = RunningJob(5, 2);
  ASSERT_TRUE(world.Send(DrainNode{second}));
  EXPECT_THAT(world.effects, IsEmpty());
  EXPECT_EQ(StateOf(world.ledger, world.At(job)), JobState::kRunning);
}

TEST_F(Drain, NothingIsInspectedOrPlacedOnADrainingNodeUntilItIsUndrained) {
  ASSERT_TRUE(world.Send(DrainNode{first}));
  ASSERT_TRUE(world.Send(DrainNode{second}));
  const JobId fresh = world.AddJob(6, World::Request(1, 1));
  world.Tick();
  EXPECT_THAT(world.effects, IsEmpty());
  EXPECT_EQ(ShownOf(fresh).state, JobState::kQueued);
  EXPECT_THAT(ShownOf(fresh).message, HasSubstr("draining: worker-1, worker-2"));
  const JobId queued = world.AddQueued(7, World::Request(1, 1));
  world.Tick();
  EXPECT_EQ(ActiveGang(world.At(queued)), nullptr);
  EXPECT_EQ(ShownOf(queued).reason, "pool_down");

  ASSERT_TRUE(world.Send(DrainNode{second, false}));
  world.Tick();
  EXPECT_EQ(world.GangOf(queued).members[0].node, second);
}

TEST_F(Drain, ItOutlivesARestartOfTheWorker) {
  ASSERT_TRUE(world.Send(DrainNode{first}));
  ASSERT_TRUE(world.Send(Goodbye{first}));
  world.AddNode(1, 2);
  EXPECT_TRUE(world.ledger.nodes.at(first).draining);
}

TEST_F(Drain, AskedTwiceItChangesNothing) {
  ASSERT_TRUE(world.Send(DrainNode{first}));
  ASSERT_TRUE(world.Send(DrainNode{first}));
  EXPECT_THAT(world.new_facts, IsEmpty());
  ASSERT_TRUE(world.Send(DrainNode{first, false}));
  ASSERT_TRUE(world.Send(DrainNode{first, false}));
  EXPECT_THAT(world.new_facts, IsEmpty());
  EXPECT_FALSE(world.Send(DrainNode{NodeId{77}}));
}

}  // namespace
}  // namespace tutti::core
