#include "scheduler/core/place.h"
#include "tests/scheduler/core/world.h"

namespace tutti::core {
namespace {

class FitTest : public testing::Test {
 protected:
  World world;

  NoFit Refused(JobId id) {
    const auto fit = Fit(world.At(id), Plan(world.ledger));
    EXPECT_TRUE(std::holds_alternative<NoFit>(fit));
    return std::get<NoFit>(fit);
  }
  Placement Placed(JobId id) {
    const auto fit = Fit(world.At(id), Plan(world.ledger));
    EXPECT_TRUE(std::holds_alternative<Placement>(fit));
    return std::get<Placement>(fit);
  }
};

TEST_F(FitTest, TakesTheLargestPowerOfTwoThatFitsNow) {
  world.AddNode(1, 7);
  const JobId job = world.AddQueued(1, World::Request(1, 8));
  EXPECT_EQ(Placed(job).size, 4U);
}

TEST_F(FitTest, CountsSlotsAsRanksTimesCpus) {
  world.AddNode(1, 7);
  JobRequest request = World::Request(1, 8);
  request.cpus_per_rank = 3;
  EXPECT_EQ(Placed(world.AddQueued(1, request)).size, 2U);
}

TEST_F(FitTest, PrefersTheNodeThatKeepsFewestSlotsOver) {
  world.AddNode(1, 16);
  const NodeId snug = world.AddNode(2, 4);
  const JobId job = world.AddQueued(1, World::Request(4, 4));
  EXPECT_EQ(Placed(job).members, (std::vector<GangMember>{{snug, 0, 4}}));
}

TEST_F(FitTest, ANodeWithMoreRanksWinsOverASnugOne) {
  world.AddNode(1, 2);
  const NodeId large = world.AddNode(2, 8);
  EXPECT_EQ(Placed(world.AddQueued(1, World::Request(1, 8))).members[0].node, large);
}

TEST_F(FitTest, MemoryBoundsTheGang) {
  world.AddNode(1, 8);  // 64 GiB
  JobRequest request = World::Request(1, 8);
  request.memory_bytes_per_rank = std::uint64_t{20} << 30;
  EXPECT_EQ(Placed(world.AddQueued(1, request)).size, 2U);
}

TEST_F(FitTest, SaysPoolDownWithoutWorkers) {
  const NoFit no = Refused(world.AddQueued(1, World::Request(1, 1)));
  EXPECT_EQ(no.reason, spec::PendingReason::kPoolDown);
  EXPECT_FALSE(no.blocks);
}

TEST_F(FitTest, SaysFragmentationWhenSlotsAreFreeButNotOnOneNode) {
  world.AddNode(1, 4);
  world.AddNode(2, 4);
  world.AddQueued(1, World::Request(2, 2));
  world.Tick();
  world.AddQueued(2, World::Request(4, 4));
  world.Tick();
  const JobId third = world.AddQueued(3, World::Request(2, 2));
  world.Tick();
  EXPECT_NE(ActiveGang(world.At(third)), nullptr);
  world.AddNode(3, 3);
  const NoFit no = Refused(world.AddQueued(4, World::Request(4, 4)));
  EXPECT_EQ(no.reason, spec::PendingReason::kResources);  // 3 free of 11
  EXPECT_TRUE(no.blocks);
}

TEST_F(FitTest, SkipsNodeWhoseFreeSlotsAreFragmented) {
  world.AddNode(1, 4);
  world.AddNode(2, 4);
  const JobId a = world.AddQueued(1, World::Request(2, 2));
  const JobId b = world.AddQueued(2, World::Request(4, 4));
  world.Tick();
  ASSERT_TRUE(world.Send(world.Ended(b, GangOutcome::kSucceeded)));
  const JobId c = world.AddQueued(3, World::Request(2, 2));
  const JobId d = world.AddQueued(4, World::Request(2, 2));
  world.Tick();
  ASSERT_TRUE(world.Send(world.Ended(c, GangOutcome::kSucceeded)));
  EXPECT_EQ(world.GangOf(a).members[0].node, NodeId{1});
  EXPECT_EQ(world.GangOf(d).members[0].node, NodeId{2});
  const NoFit no = Refused(world.AddQueued(5, World::Request(4, 4)));
  EXPECT_EQ(no.reason, spec::PendingReason::kFragmentation);
  EXPECT_TRUE(no.blocks);
}

TEST_F(FitTest, LaterAttemptsGoToEqualNumericsOnly) {
  const NodeId first = world.AddNode(1, 4, "avx2");
  const JobId job = world.AddQueued(1, World::Request(1, 1));
  world.Tick();
  ASSERT_TRUE(world.Send(Goodbye{first}));
  world.AddNode(2, 4, "avx512");
  const NoFit no = Refused(job);
  EXPECT_EQ(no.reason, spec::PendingReason::kNumerics);
  EXPECT_FALSE(no.blocks);
  world.AddNode(3, 4, "avx2");
  EXPECT_EQ(Placed(job).members[0].node, NodeId{3});
}

TEST_F(FitTest, IrreproducibleJobsSayThatBitsChanged) {
  const NodeId first = world.AddNode(1, 4, "avx2");
  JobRequest request = World::Request(1, 1);
  request.reproducible = false;
  const JobId job = world.AddQueued(1, request);
  world.Tick();
  ASSERT_TRUE(world.Send(Goodbye{first}));
  world.AddNode(2, 4, "avx512");
  EXPECT_TRUE(Placed(job).bits_changed);
}

TEST_F(FitTest, APlanSeesItsOwnBookings) {
  const NodeId node = world.AddNode(1, 4);
  const JobId job = world.AddQueued(1, World::Request(4, 4));
  Plan plan(world.ledger);
  plan.Book({{node, 0, 1}}, 1, 0);
  EXPECT_TRUE(std::holds_alternative<NoFit>(Fit(world.At(job), plan)));
}

TEST_F(FitTest, RefusesAGangLargerThanAllWorkersTogetherWithNumbers) {
  world.AddNode(1, 4);
  world.AddNode(2, 4);
  const Status no = CouldEverFit(world.ledger, World::Request(16, 16, 16), 16, 0);
  ASSERT_FALSE(no);
  EXPECT_EQ(no.error().code, ErrorCode::kInvalid);
  EXPECT_NE(no.error().message.find("8 slots"), std::string::npos);
  const Status across = CouldEverFit(world.ledger, World::Request(8, 8), 8, 0);
  ASSERT_FALSE(across);
  EXPECT_EQ(across.error().code, ErrorCode::kUnsupported);
  EXPECT_TRUE(CouldEverFit(world.ledger, World::Request(4, 4), 4, 0));
}

}  // namespace
}  // namespace tutti::core
