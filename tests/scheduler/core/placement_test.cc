// Labels, topology, warm machines, the index by free slots, and what would help.
#include "scheduler/core/explain.h"
#include "scheduler/core/place.h"
#include "tests/scheduler/core/world.h"

namespace tutti::core {
namespace {

class PlacementTest : public testing::Test {
 protected:
  World world;

  NodeId Add(std::uint64_t bits, std::uint32_t slots, std::map<std::string, std::string> labels) {
    RegisterNode input;
    input.node = NodeId{bits};
    input.name = "worker-" + std::to_string(bits);
    input.session = 7;
    input.slots = input.cores = slots;
    input.memory_bytes = std::uint64_t{64} << 30;
    input.numerics_fingerprint = "cpu";
    input.labels = std::move(labels);
    EXPECT_TRUE(world.Send(input));
    world.Beat(input.node);
    return input.node;
  }
  std::vector<NodeId> Nodes(JobId id) {
    std::vector<NodeId> nodes;
    const auto placed = TryFit(world.At(id), Plan(world.ledger, world.liveness));
    if (!placed) return nodes;
    for (const GangMember& member : placed->members) nodes.push_back(member.node);
    return nodes;
  }
  core::State State() { return {world.ledger, world.liveness, DefaultPolicy()}; }
};

TEST_F(PlacementTest, AllLabelsOfAJobMustMatch) {
  Add(1, 2, {});
  Add(2, 4, {{"disk", "ssd"}});
  const NodeId both = Add(3, 8, {{"disk", "ssd"}, {"zone", "b"}});
  JobRequest request = World::Request(1, 1);
  request.labels = {{"disk", "ssd"}, {"zone", "b"}};
  EXPECT_EQ(Nodes(world.AddQueued(1, request)), std::vector<NodeId>{both});
  request.labels = {{"disk", "tape"}};
  const JobId nowhere = world.AddQueued(2, request);
  const auto fit = Fit(world.At(nowhere), Plan(world.ledger, world.liveness));
  const NoFit& no = std::get<NoFit>(fit);
  EXPECT_FALSE(no.blocks) << "others may pass";
  EXPECT_NE(no.message.find("disk=tape"), std::string::npos) << no.message;
  EXPECT_EQ(WhatHelps(State(), world.At(nowhere)).at(0), "workers without its labels have room");
}

TEST_F(PlacementTest, ATopologyLabelIsTheSameForTheWholeGang) {
  Add(1, 2, {{"rack", "a"}});
  Add(2, 2, {{"rack", "b"}});
  Add(3, 2, {});
  Add(4, 2, {});
  JobRequest request = World::Request(4, 4);
  const JobId anywhere = world.AddQueued(1, request);
  EXPECT_EQ(Nodes(anywhere).size(), 2U);
  request.topology = "rack";
  const JobId together = world.AddQueued(2, request);
  EXPECT_TRUE(Nodes(together).empty()) << "machines without the label are alone";
  const NodeId second = Add(5, 2, {{"rack", "b"}});
  EXPECT_EQ(Nodes(together), (std::vector<NodeId>{NodeId{2}, second}));
  request = World::Request(2, 2);
  request.topology = "rack";
  EXPECT_EQ(Nodes(world.AddQueued(3, request)).size(), 1U);
}

TEST_F(PlacementTest, OfEquallyFullMachinesTheOneThatHasTheModelComesFirst) {
  Add(1, 4, {});
  const NodeId second = Add(2, 4, {});
  const NodeId snug = Add(3, 3, {});
  JobRequest request = World::Request(1, 1);
  request.model_key = "bert";
  const JobId first = world.AddQueued(1, request);
  world.ledger.jobs.at(first).request.labels.clear();
  // It was there once: a gang of four fits neither the snug one nor is it there now.
  JobRequest four = World::Request(4, 4);
  four.model_key = "bert";
  const JobId blocker = world.AddQueued(10, World::Request(4, 4));
  ASSERT_TRUE(world.Send(Pause{first}));
  world.Tick();
  ASSERT_EQ(world.GangOf(blocker).members[0].node, NodeId{1});
  const JobId warming = world.AddQueued(11, four);
  world.Tick();
  ASSERT_EQ(world.GangOf(warming).members[0].node, second);
  for (const JobId id : {blocker, warming}) {
    ASSERT_TRUE(world.Send(world.Ended(id, GangOutcome::kSucceeded)));
  }
  const JobId again = world.AddQueued(12, four);
  EXPECT_EQ(Nodes(again), std::vector<NodeId>{second});
  EXPECT_EQ(Nodes(world.AddQueued(13, World::Request(4, 4))), std::vector<NodeId>{NodeId{1}});
  EXPECT_EQ(Nodes(first), std::vector<NodeId>{snug}) << "fewest slots over goes before warmth";
  EXPECT_TRUE(world.Replayed() == world.ledger);
}

TEST_F(PlacementTest, APlanMergesItsChangesWithTheIndex) {
  for (std::uint64_t i = 1; i <= 5; ++i) Add(i, 4, {});
  const JobId job = world.AddQueued(1, World::Request(1, 1));
  Plan plan(world.ledger, world.liveness);
  plan.Book({{NodeId{2}, 0, 3}}, world.At(job));
  plan.Book({{NodeId{4}, 0, 1}}, world.At(job));
  plan.Book({{NodeId{5}, 0, 4}}, world.At(job));
  const auto all = [&](std::uint32_t slots) {
    std::vector<std::pair<std::uint64_t, std::uint32_t>> seen;
    plan.EachWithFree("cpu", {.slots = slots}, [&](const Node& node, const Room& free) {
      seen.emplace_back(node.id.value(), free.slots);
      return true;
    });
    return seen;
  };
  using Seen = std::vector<std::pair<std::uint64_t, std::uint32_t>>;
  EXPECT_EQ(all(1), (Seen{{2, 1}, {4, 3}, {1, 4}, {3, 4}}));
  EXPECT_EQ(all(4), (Seen{{1, 4}, {3, 4}}));
  plan.Return({{NodeId{5}, 0, 4}}, world.At(job));
  EXPECT_EQ(all(4), (Seen{{1, 4}, {3, 4}, {5, 4}}));
}

TEST_F(PlacementTest, WhatWouldHelpIsTried) {
  Add(1, 3, {});
  Add(2, 4, {});
  const JobId large = world.AddQueued(1, World::Request(4, 4));
  const JobId filler = world.AddQueued(2, World::Request(2, 2));
  ASSERT_TRUE(world.Send(Pause{large}));
  world.Tick();
  ASSERT_EQ(world.GangOf(filler).members[0].node, NodeId{1});
  const JobId filler2 = world.AddQueued(3, World::Request(2, 2));
  world.Tick();
  ASSERT_EQ(world.GangOf(filler2).members[0].node, NodeId{2});
  ASSERT_TRUE(world.Send(Resume{large, 0}));
  const std::vector<std::string> helps = WhatHelps(State(), world.At(large));
  ASSERT_EQ(helps.size(), 2U);
  EXPECT_NE(helps[0].find("--ranks 2"), std::string::npos) << helps[0];
  EXPECT_EQ(helps[1], "1 more worker with 4 free slots");
}

TEST_F(PlacementTest, AFullQueueNamesOneThatHasRoom) {
  Add(1, 4, {});
  ASSERT_TRUE(world.Send(SetQueue{"9small", {.slots_max = 1}}));
  JobRequest request = World::Request(1, 1);
  request.queue = "9small";
  world.AddQueued(1, request);
  world.Tick();
  const JobId second = world.AddQueued(2, request);
  const std::vector<std::string> helps = WhatHelps(State(), world.At(second));
  EXPECT_EQ(helps.at(0), "another queue has room: default");
}

}  // namespace
}  // namespace tutti::core
