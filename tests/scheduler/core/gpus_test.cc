// GPUs as a resource: placed, booked, limited, lent and counted beside slots.
#include <algorithm>
#include <tuple>

#include "scheduler/core/explain.h"
#include "scheduler/core/limits.h"
#include "scheduler/core/place.h"
#include "tests/scheduler/core/world.h"

namespace tutti::core {
namespace {

using namespace std::chrono_literals;
using testing::Test;

class GpusTest : public Test {
 protected:
  World world;

  JobId Add(std::uint64_t bits, const JobRequest& request, std::uint64_t duration_ms = 0) {
    const JobId id = world.AddJob(bits, request);
    InspectFinished inspected;
    inspected.job = id;
    inspected.outcome = InspectOutcome::kAdmitted;
    inspected.estimate.total_steps = duration_ms == 0 ? 0 : 100;
    inspected.estimate.duration_ms = duration_ms;
    EXPECT_TRUE(world.Send(inspected));
    return id;
  }
  static JobRequest In(const std::string& queue, JobRequest request) {
    request.queue = queue;
    return request;
  }
  bool Holds(JobId id) const { return ActiveGang(world.At(id)) != nullptr; }
  bool Stops(JobId id) const { return std::holds_alternative<Stopping>(world.At(id).phase); }
  std::vector<NodeId> Nodes(JobId id) const {
    std::vector<NodeId> nodes;
    const auto fit = TryFit(world.At(id), Plan(world.ledger, world.liveness));
    if (!fit) return nodes;
    for (const GangMember& member : fit->members) nodes.push_back(member.node);
    return nodes;
  }
  NoFit Refused(JobId id) const {
    const auto fit = Fit(world.At(id), Plan(world.ledger, world.liveness));
    EXPECT_TRUE(std::holds_alternative<NoFit>(fit));
    return std::holds_alternative<NoFit>(fit) ? std::get<NoFit>(fit) : NoFit{};
  }
  State AsState() const { return {world.ledger, world.liveness, DefaultPolicy()}; }
};

// ---- where there is room ---------------------------------------------------------------------

TEST_F(GpusTest, AGangHoldsItsGpusUntilItEnds) {
  const NodeId node = world.AddGpuNode(1, 8, 4);
  const JobId first = Add(1, World::GpuRequest(2, 2, 2));
  const JobId second = Add(2, World::GpuRequest(1, 1, 1));
  world.Tick();
  EXPECT_TRUE(Holds(first) && !Holds(second)) << "slots are free, GPUs are not";
  EXPECT_EQ(world.ledger.nodes.at(node).gpus_used, 4U);
  const NoFit no = Refused(second);
  EXPECT_EQ(no.message,
            "needs 1 slot (1 rank × 1) and 1 GPU (1 rank × 1); 6 of 8 slots and 0 of 4 GPUs are "
            "free: 1 GPU is missing");
  EXPECT_TRUE(no.blocks);
  EXPECT_EQ(no.missing, (Amount{.slots = 0, .gpus = 1}));
  ASSERT_TRUE(world.Send(world.Ended(first, GangOutcome::kSucceeded)));
  EXPECT_EQ(world.ledger.nodes.at(node).gpus_used, 0U);
  world.Tick();
  EXPECT_TRUE(Holds(second));
  EXPECT_TRUE(world.Replayed() == world.ledger);
}

TEST_F(GpusTest, AnElasticGangTakesAsManyRanksAsThereAreGpusFor) {
  world.AddGpuNode(1, 8, 5);
  const JobId id = Add(1, World::GpuRequest(1, 8, 2));
  world.Tick();
  EXPECT_EQ(world.GangOf(id).size, 2U);
}

TEST_F(GpusTest, GangsAreInEqualPartsOnMachinesWithGpusForEachPart) {
  world.AddGpuNode(1, 8, 2);
  world.AddNode(2, 8);
  const NodeId third = world.AddGpuNode(3, 8, 3);
  const JobId id = Add(1, World::GpuRequest(4, 4, 1));
  EXPECT_EQ(Nodes(id), (std::vector<NodeId>{NodeId{1}, third}));
}

TEST_F(GpusTest, JobsWithoutGpusLeaveMachinesThatHaveSome) {
  world.AddGpuNode(1, 4, 2);
  const NodeId plain = world.AddNode(2, 16);
  const JobId id = Add(1, World::Request(4, 4));
  EXPECT_EQ(Nodes(id), std::vector<NodeId>{plain}) << "though the other one is snug";
  const JobId large = Add(2, World::Request(8, 8));
  const JobId small = Add(3, World::Request(4, 4));
  const JobId smaller = Add(4, World::Request(4, 4));
  world.Tick();
  EXPECT_EQ(world.GangOf(large).members[0].node, plain);
  EXPECT_EQ(world.GangOf(small).members[0].node, plain);
  EXPECT_EQ(world.GangOf(smaller).members[0].node, NodeId{1}) << "where there is no other choice";
}

TEST_F(GpusTest, SoTheyDoWhereMachinesComputeOtherBits) {
  world.AddNode(1, 4, "avx2", 0, 2);
  const NodeId plain = world.AddNode(2, 16, "avx512");
  EXPECT_EQ(Nodes(Add(1, World::Request(4, 4))), std::vector<NodeId>{plain});
}

TEST_F(GpusTest, OfThoseWithGpusTheOneThatKeepsFewestOverIsTaken) {
  world.AddGpuNode(1, 2, 8);
  const NodeId snug = world.AddGpuNode(2, 16, 2);
  EXPECT_EQ(Nodes(Add(1, World::GpuRequest(1, 1, 2))), std::vector<NodeId>{snug});
  EXPECT_EQ(Nodes(Add(2, World::Request(1, 1))), std::vector<NodeId>{snug});
}

TEST_F(GpusTest, APlanMergesWhatIsBookedWithTheIndexTierByTier) {
  world.AddNode(1, 4);
  for (std::uint64_t i = 2; i <= 5; ++i) world.AddGpuNode(i, 4, 2);
  const JobId one = Add(1, World::GpuRequest(1, 1, 1));
  Plan plan(world.ledger, world.liveness);
  plan.Book({{NodeId{3}, 0, 1}}, world.At(one));
  plan.Book({{NodeId{4}, 0, 2}}, world.At(one));
  using Seen = std::vector<std::tuple<std::uint64_t, std::uint32_t, std::uint32_t>>;
  const auto all = [&](const Room& least) {
    Seen seen;
    plan.EachWithFree("cpu", least, [&](const Node& node, const Room& free) {
      seen.emplace_back(node.id.value(), free.slots, free.gpus);
      return true;
    });
    return seen;
  };
  EXPECT_EQ(all({.slots = 1}), (Seen{{1, 4, 0}, {4, 2, 0}, {3, 3, 1}, {2, 4, 2}, {5, 4, 2}}));
  EXPECT_EQ(all({.slots = 1, .gpus = 1}), (Seen{{3, 3, 1}, {2, 4, 2}, {5, 4, 2}}));
  EXPECT_EQ(all({.slots = 4, .gpus = 1}), (Seen{{2, 4, 2}, {5, 4, 2}}));
  plan.Return({{NodeId{3}, 0, 1}}, world.At(one));
  EXPECT_EQ(all({.slots = 4, .gpus = 2}), (Seen{{2, 4, 2}, {3, 4, 2}, {5, 4, 2}}));
}

// ---- why not ---------------------------------------------------------------------------------

TEST_F(GpusTest, WhatNoRegisteredWorkerHasIsRefusedAtOnceWithTheNumbers) {
  world.AddNode(1, 8);
  const auto refusal = [&](const JobRequest& request) {
    const auto sent = world.Send(Submit{.job = JobId{9},
                                        .request = request,
                                        .spec_json = "{}",
                                        .idempotency_key = "",
                                        .body_digest = ""});
    EXPECT_FALSE(sent);
    return sent ? Error{} : sent.error();
  };
  const Error none = refusal(World::GpuRequest(1, 1, 2));
  EXPECT_EQ(none.code, ErrorCode::kInvalid);
  EXPECT_EQ(none.message, "asks for 2 GPUs a rank, and no registered worker has any");
  EXPECT_EQ(none.where, "resources.gpus_per_rank");
  world.AddGpuNode(2, 8, 3);
  const Error few = refusal(World::GpuRequest(2, 2, 2));
  EXPECT_NE(few.message.find("a gang of 2 ranks takes 2 slots, 4 GPUs"), std::string::npos)
      << few.message;
  EXPECT_NE(few.message.find("together have 16 slots, 3 GPUs"), std::string::npos) << few.message;
  EXPECT_TRUE(CouldEverFit(world.ledger, World::GpuRequest(1, 1, 3), 1, 0));
}

TEST_F(GpusTest, WhileTheOnlyWorkerWithGpusDrainsOthersPass) {
  const NodeId node = world.AddGpuNode(1, 4, 2);
  world.AddNode(2, 4);
  const JobId waits = Add(1, World::GpuRequest(1, 1, 2));
  ASSERT_TRUE(world.Send(DrainNode{node, true}));
  const NoFit no = Refused(waits);
  EXPECT_FALSE(no.blocks);
  EXPECT_EQ(no.message, "asks for 2 GPUs a rank, and no connected worker has any");
  const JobId other = Add(2, World::Request(1, 1));
  world.Tick();
  EXPECT_TRUE(!Holds(waits) && Holds(other));
}

TEST_F(GpusTest, WhatWouldHelpIsFewerGpusOrAnotherWorker) {
  world.AddGpuNode(1, 4, 4);
  Add(1, World::GpuRequest(1, 1, 3));
  world.Tick();
  const JobId waits = Add(2, World::GpuRequest(1, 1, 2));
  const std::vector<std::string> helps = WhatHelps(AsState(), world.At(waits));
  ASSERT_EQ(helps.size(), 2U);
  EXPECT_EQ(helps[0],
            "there is room for it with resources.gpus_per_rank of 1: submit it so instead");
  EXPECT_EQ(helps[1], "1 more worker with 1 free slot and 2 GPUs");
}

TEST_F(GpusTest, AReservationOfGpusIsPutOffByNobody) {
  world.AddGpuNode(1, 4, 1);
  const JobId running = Add(1, World::GpuRequest(1, 1, 1), 100'000);
  world.Tick();
  world.Started(running);
  const JobId waits = Add(2, World::GpuRequest(1, 1, 1), 10'000);
  const JobId plain = Add(3, World::Request(1, 1), 900'000);
  const JobId full = Add(4, World::Request(2, 2), 900'000);
  world.Tick();
  EXPECT_TRUE(!Holds(waits) && Holds(plain)) << "it needs no GPU and leaves a slot";
  EXPECT_TRUE(Holds(full)) << "the slot of the gang that ends is left for the one that waits";
  const JobId last = Add(5, World::Request(1, 1), 900'000);
  ASSERT_TRUE(world.Send(world.Ended(running, GangOutcome::kSucceeded)));
  world.Tick();
  EXPECT_TRUE(Holds(waits) && !Holds(last));
}

TEST_F(GpusTest, WhereNothingIsKnownOfEndsOthersPassOntoMachinesWithoutGpusAlone) {
  world.AddGpuNode(1, 4, 1);
  world.AddNode(2, 2);
  const JobId running = Add(1, World::GpuRequest(1, 1, 1));
  world.Tick();
  const JobId waits = Add(2, World::GpuRequest(1, 1, 1));
  const JobId plain = Add(3, World::Request(2, 2));
  const JobId held = Add(4, World::Request(1, 1));
  world.Tick();
  EXPECT_TRUE(Holds(running) && !Holds(waits));
  EXPECT_EQ(world.GangOf(plain).members[0].node, NodeId{2});
  EXPECT_FALSE(Holds(held)) << "it would take a slot beside the GPU";
  const auto why = ExplainQueue(AsState(), 10);
  EXPECT_NE(why.at(held).message.find("waits behind " + waits.ToString()), std::string::npos)
      << why.at(held).message;
}

TEST_F(GpusTest, ALongLineForGpusHidesNobodyWhoNeedsNone) {
  world.check = false;
  world.AddGpuNode(1, 4, 1);
  world.AddNode(2, 4);
  for (std::uint64_t i = 1; i <= 1500; ++i) Add(i, World::GpuRequest(1, 1, 1));
  const JobId plain = Add(5000, World::Request(1, 1));
  world.Tick();
  EXPECT_TRUE(Holds(plain));
  const auto why = ExplainQueue(AsState(), 10);
  EXPECT_NE(why.at(JobId{2}).message.find("1 GPU is missing"), std::string::npos);
  EXPECT_EQ(why.at(JobId{3}).reason, spec::PendingReason::kPriority);
}

TEST_F(GpusTest, AJobWithoutGpusIsNotToldToWaitForOneThatNeedsSome) {
  world.AddGpuNode(1, 2, 1);
  Add(1, World::GpuRequest(1, 1, 1));
  Add(2, World::Request(1, 1));
  world.Tick();
  const JobId waits = Add(3, World::GpuRequest(1, 1, 1));
  const JobId plain = Add(4, World::Request(1, 1));
  const JobId next = Add(5, World::Request(1, 1));
  const auto why = ExplainQueue(AsState(), 10);
  EXPECT_EQ(why.at(waits).missing, (Amount{.slots = 1, .gpus = 1}));
  EXPECT_EQ(why.at(plain).reason, spec::PendingReason::kResources) << why.at(plain).message;
  EXPECT_NE(why.at(next).message.find("waits behind " + plain.ToString()), std::string::npos);
}

// ---- facts -----------------------------------------------------------------------------------

TEST_F(GpusTest, NoFactGivesOutMoreThanThereAre) {
  const NodeId node = world.AddGpuNode(1, 4, 2);
  const JobId id = Add(1, World::GpuRequest(2, 4, 1));
  const GangPlaced two{id, Attempt{1}, 2, {{node, 0, 2}}, "cpu", false, WallTime{1}};
  EXPECT_EQ(Objection(world.ledger, two), "");
  const GangPlaced four{id, Attempt{1}, 4, {{node, 0, 4}}, "cpu", false, WallTime{1}};
  EXPECT_NE(Objection(world.ledger, four).find("no 4 free GPUs"), std::string::npos);
  world.Tick();
  ASSERT_TRUE(Holds(id));
  const Node& now = world.ledger.nodes.at(node);
  NodeRegistered fewer{node, now.name, now.session, "", 4, 4, 0, 0, "", "cpu", WallTime{1}};
  fewer.gpus = 1;
  EXPECT_NE(Objection(world.ledger, fewer).find("more than 1 GPUs"), std::string::npos);
}

TEST_F(GpusTest, AWorkerThatComesBackWithFewerEndsItsGangs) {
  const NodeId node = world.AddGpuNode(1, 4, 2);
  const JobId id = Add(1, World::GpuRequest(1, 1, 2));
  world.Tick();
  world.Started(id);
  RegisterNode again;
  again.node = node;
  again.name = world.ledger.nodes.at(node).name;
  again.session = 7;
  again.slots = 4;
  again.gpus = 1;
  again.numerics_fingerprint = "cpu";
  again.gangs = {world.Seen(id)};
  ASSERT_TRUE(world.Send(again));
  EXPECT_FALSE(Holds(id));
  EXPECT_NE(world.At(id).attempts.back().message.find("came back with 1 GPU,"), std::string::npos);
  EXPECT_EQ(world.ledger.nodes.at(node).gpus, 1U);
}

// ---- queues ----------------------------------------------------------------------------------

TEST_F(GpusTest, AQueueAndItsUsersHoldNoMoreGpusThanTheyMay) {
  world.AddGpuNode(1, 8, 8);
  ASSERT_TRUE(world.Send(SetQueue{"nlp", {.gpus_max = 3, .user_gpus = 2}}));
  JobRequest request = In("nlp", World::GpuRequest(1, 4, 1));
  const JobId elastic = Add(1, request);
  world.Tick();
  EXPECT_EQ(world.GangOf(elastic).size, 2U) << "what its user may hold";
  const JobId same = Add(2, request);
  world.Tick();
  EXPECT_FALSE(Holds(same));
  EXPECT_EQ(Held(world.ledger).Refusal(world.At(same)),
            "needs 1 GPU; a user may hold 2 of queue nlp, and local holds 2");
  request.user = "other";
  const JobId other = Add(3, request);
  const JobId plain = Add(4, In("nlp", World::Request(1, 1)));
  world.Tick();
  EXPECT_EQ(world.GangOf(other).size, 1U) << "what the queue may hold";
  EXPECT_TRUE(Holds(plain)) << "it takes none";
  request.user = "third";
  const JobId full = Add(5, request);
  EXPECT_EQ(Held(world.ledger).Refusal(world.At(full)),
            "needs 1 GPU; queue nlp may hold 3 and holds 3");
  EXPECT_EQ(WhatHelps(AsState(), world.At(full)).back(),
            "a higher limit of its queue: tutti queue set nlp gpus_max=… (or user_gpus=…)");
}

TEST_F(GpusTest, AQueuesOwnGpusAreNoMoreThanItMayHold) {
  const auto refused = world.Send(SetQueue{"nlp", {.gpus = 4, .gpus_max = 3}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().where, "gpus");
}

TEST_F(GpusTest, AQueueTakesBackTheGpusItLentAndOnlyThose) {
  ASSERT_TRUE(world.Send(SetQueue{"owner", {.gpus = 2}}));
  world.AddGpuNode(1, 4, 2);
  world.Start();
  const JobId plain = Add(1, World::Request(1, 1));
  const JobId borrower = Add(2, World::GpuRequest(1, 1, 2));
  world.Tick();
  ASSERT_TRUE(Holds(plain) && Holds(borrower)) << "idle GPUs are lent";
  world.Started(plain);
  world.Started(borrower);
  world.Live(61s);
  const JobId own = Add(3, In("owner", World::GpuRequest(1, 1, 2)));
  world.Tick();
  EXPECT_TRUE(Stops(borrower) && !Stops(plain));
  ASSERT_TRUE(world.Send(world.Ended(borrower, GangOutcome::kReleased)));
  ASSERT_TRUE(world.Send(SetPriority{own, 1}));
  world.Tick();
  EXPECT_TRUE(Holds(own) && !Holds(borrower));
}

TEST_F(GpusTest, AJobTakesBackWhereItsQueueOwnsAllItNeeds) {
  ASSERT_TRUE(world.Send(SetQueue{"slots", {.slots = 4}}));
  ASSERT_TRUE(world.Send(SetQueue{"both", {.slots = 2, .gpus = 1}}));
  world.AddGpuNode(1, 4, 2);
  world.Start();
  const JobId borrower = Add(1, World::GpuRequest(1, 1, 2));
  world.Tick();
  world.Started(borrower);
  world.Live(61s);
  const JobId half = Add(2, In("slots", World::GpuRequest(1, 1, 1)));
  world.Tick();
  EXPECT_FALSE(Stops(borrower)) << "its queue owns slots, but none of the GPUs";
  ASSERT_TRUE(world.Send(Cancel{half}));
  Add(3, In("both", World::GpuRequest(1, 1, 1)));
  world.Tick();
  EXPECT_TRUE(Stops(borrower));
}

TEST_F(GpusTest, UnderFairAGpuCountsAsManySlotsAsThereAreForEach) {
  ASSERT_TRUE(world.Send(SetPolicy{"fair"}));
  world.AddGpuNode(1, 4, 2);
  const auto of = [](const char* user, JobRequest request) {
    request.user = user;
    return request;
  };
  Add(1, of("ann", World::GpuRequest(1, 1, 2)));
  const JobId leaves = Add(2, of("bob", World::Request(2, 2)));
  Add(3, of("eve", World::Request(1, 1)));
  world.Tick();
  const JobId again = Add(4, of("ann", World::Request(2, 2)));
  const JobId other = Add(5, of("bob", World::Request(2, 2)));
  EXPECT_EQ(FirstInQueue(AsState(), 1).front()->id, other) << "two slots are less than two GPUs";
  ASSERT_TRUE(world.Send(world.Ended(leaves, GangOutcome::kSucceeded)));
  world.Tick();
  EXPECT_TRUE(Holds(other) && !Holds(again));
}

TEST_F(GpusTest, WhatGangsTookOfGpusIsCounted) {
  world.AddGpuNode(1, 4, 4);
  world.Start();
  const JobId id = Add(1, World::GpuRequest(2, 2, 2));
  const JobId plain = Add(2, World::Request(1, 1));
  world.Tick();
  world.Started(id);
  world.Started(plain);
  EXPECT_EQ(world.ledger.held_by.at({"default", "local"}), (Amount{.slots = 3, .gpus = 4}));
  world.Live(100s);
  ASSERT_TRUE(world.Send(world.Ended(id, GangOutcome::kSucceeded)));
  ASSERT_TRUE(world.Send(world.Ended(plain, GangOutcome::kSucceeded)));
  const Usage& usage = world.ledger.sharing.usage.at({"default", "local"});
  EXPECT_NEAR(static_cast<double>(usage.gpu_ms), 4 * 100'000, 4 * 1'000);
  EXPECT_NEAR(usage.recent_gpu_ms, 4 * 60'000, 4 * 2'000) << "charged once a minute";
  EXPECT_NEAR(static_cast<double>(usage.slot_ms), 3 * 100'000, 3 * 1'000);
  EXPECT_TRUE(world.ledger.held_by.empty());
  EXPECT_TRUE(world.Replayed() == world.ledger);
}

}  // namespace
}  // namespace tutti::core
