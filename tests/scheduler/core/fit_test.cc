#include "scheduler/core/place.h"
#include "tests/scheduler/core/world.h"

namespace tutti::core {
namespace {

class FitTest : public testing::Test {
 protected:
  World world;

  NoFit Refused(JobId id) {
    const auto fit = Fit(world.At(id), Plan(world.ledger, world.liveness));
    EXPECT_TRUE(std::holds_alternative<NoFit>(fit));
    return std::get<NoFit>(fit);
  }
  Placement Placed(JobId id) {
    const auto fit = Fit(world.At(id), Plan(world.ledger, world.liveness));
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

TEST_F(FitTest, SpreadsEqualPartsOverAPowerOfTwoOfMachines) {
  world.AddNode(1, 5);
  world.AddNode(2, 7);
  world.AddNode(3, 4);
  const Placement placed = Placed(world.AddQueued(1, World::Request(8, 8)));
  EXPECT_EQ(placed.size, 8U);
  EXPECT_EQ(placed.members, (std::vector<GangMember>{{NodeId{1}, 0, 4}, {NodeId{3}, 4, 4}}));
}

TEST_F(FitTest, PrefersOneMachineOverSeveral) {
  world.AddNode(1, 2);
  world.AddNode(2, 2);
  const NodeId large = world.AddNode(3, 9);
  const Placement placed = Placed(world.AddQueued(1, World::Request(4, 4)));
  EXPECT_EQ(placed.members, (std::vector<GangMember>{{large, 0, 4}}));
}

TEST_F(FitTest, MachinesOfAGangHaveEqualNumerics) {
  world.AddNode(1, 2, "avx2");
  world.AddNode(2, 2, "avx512");
  const JobId job = world.AddQueued(1, World::Request(2, 4));
  EXPECT_EQ(Placed(job).size, 2U);
  JobRequest request = World::Request(4, 4);
  request.reproducible = false;  // of attempts; the machines of one gang are equal all the same
  EXPECT_FALSE(CouldEverFit(world.ledger, request, 4, 0));
  const NodeId second = world.AddNode(3, 2, "avx512");
  EXPECT_EQ(Placed(job).members, (std::vector<GangMember>{{NodeId{2}, 0, 2}, {second, 2, 2}}));
}

TEST_F(FitTest, SaysFragmentationWhenSlotsAreFreeButNotInEqualParts) {
  world.AddNode(1, 4);
  world.AddNode(2, 4);
  const JobId a = world.AddQueued(1, World::Request(2, 2));
  world.Tick();
  const JobId b = world.AddQueued(2, World::Request(1, 1));
  world.Tick();
  EXPECT_EQ(world.GangOf(b).members[0].node, world.GangOf(a).members[0].node);
  const JobId c = world.AddQueued(3, World::Request(8, 8));  // 5 free of 8
  EXPECT_EQ(Refused(c).reason, spec::PendingReason::kResources);
  const JobId d = world.AddQueued(4, World::Request(4, 4));
  EXPECT_EQ(Placed(d).members, (std::vector<GangMember>{{NodeId{2}, 0, 4}}));
  world.AddNode(3, 3);  // 8 free: 1 + 4 + 3
  const NoFit no = Refused(c);
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

TEST_F(FitTest, AJobWhoseCpuIsGoneGoesOnElsewhereOnceThatIsAllowed) {
  const NodeId first = world.AddNode(1, 4, "avx2");
  const JobId job = world.AddQueued(1, World::Request(1, 1));
  world.Tick();
  ASSERT_TRUE(world.Send(Goodbye{first}));
  world.AddNode(2, 4, "avx512");
  world.Tick();
  EXPECT_EQ(ActiveGang(world.At(job)), nullptr);
  ASSERT_TRUE(world.Send(AllowOtherNumerics{job}));
  world.Tick();
  ASSERT_NE(ActiveGang(world.At(job)), nullptr);
  EXPECT_TRUE(world.At(job).attempts.back().bits_changed);
}

TEST_F(FitTest, APlanSeesItsOwnBookings) {
  const NodeId node = world.AddNode(1, 4);
  const JobId job = world.AddQueued(1, World::Request(4, 4));
  Plan plan(world.ledger, world.liveness);
  plan.Book({{node, 0, 1}}, world.At(job));
  EXPECT_TRUE(std::holds_alternative<NoFit>(Fit(world.At(job), plan)));
}

TEST_F(FitTest, RefusesAGangLargerThanAllWorkersTogetherWithNumbers) {
  world.AddNode(1, 4);
  world.AddNode(2, 4);
  const Status no = CouldEverFit(world.ledger, World::Request(16, 16, 16), 16, 0);
  ASSERT_FALSE(no);
  EXPECT_EQ(no.error().code, ErrorCode::kInvalid);
  EXPECT_NE(no.error().message.find("8 slots"), std::string::npos);
  EXPECT_TRUE(CouldEverFit(world.ledger, World::Request(8, 8), 8, 0));
  world.AddNode(3, 9);
  const Status uneven = CouldEverFit(world.ledger, World::Request(16, 16, 16), 16, 0);
  ASSERT_FALSE(uneven);
  EXPECT_NE(uneven.error().message.find("equal parts"), std::string::npos);
}

TEST(LimitHolds, AsLongAsThePredictionMayBeOffByThatMuch) {
  JobRequest request = World::Request(1, 1);
  Estimate estimate{.memory_bytes_per_rank = 114 << 20};
  EXPECT_TRUE(LimitHolds(request, estimate)) << "no limit";
  request.memory_bytes_per_rank = 100 << 20;
  EXPECT_TRUE(LimitHolds(request, estimate));
  estimate.memory_bytes_per_rank = 116 << 20;
  const Status holds = LimitHolds(request, estimate);
  ASSERT_FALSE(holds);
  EXPECT_EQ(holds.error().where, "resources.memory_per_rank");
  EXPECT_NE(holds.error().message.find("116.0 MiB"), std::string::npos) << holds.error().message;
}

}  // namespace
}  // namespace tutti::core
