// Queues, policies, reservations and preemption.
#include <algorithm>

#include "scheduler/core/limits.h"
#include "scheduler/core/throughput.h"
#include "scheduler/core/timing.h"
#include "tests/scheduler/core/world.h"

namespace tutti::core {
namespace {

using namespace std::chrono_literals;

class SharingTest : public testing::Test {
 protected:
  World world;

  JobId Add(std::uint64_t bits, JobRequest request, std::uint64_t steps = 0,
            std::uint64_t duration_ms = 0) {
    const JobId id = world.AddJob(bits, std::move(request));
    InspectFinished inspected;
    inspected.job = id;
    inspected.outcome = InspectOutcome::kAdmitted;
    inspected.estimate.total_steps = steps;
    inspected.estimate.duration_ms = duration_ms;
    EXPECT_TRUE(world.Send(inspected));
    return id;
  }
  static JobRequest Of(const std::string& queue, const std::string& user, std::uint32_t ranks = 1) {
    JobRequest request = World::Request(ranks, ranks);
    request.queue = queue;
    request.user = user;
    return request;
  }
  bool Holds(JobId id) const { return ActiveGang(world.At(id)) != nullptr; }
  void Finish(JobId id) { EXPECT_TRUE(world.Send(world.Ended(id, GangOutcome::kSucceeded))); }
};

TEST_F(SharingTest, ThePolicyIsSwitchedByAFactAndUnknownOnesAreRefused) {
  EXPECT_EQ(PolicyOf(world.ledger, DefaultPolicy()).name, "fifo");
  ASSERT_TRUE(world.Send(SetPolicy{"srtf"}));
  EXPECT_EQ(PolicyOf(world.ledger, DefaultPolicy()).name, "srtf");
  EXPECT_EQ(PolicyOf(world.Replayed(), DefaultPolicy()).name, "srtf");
  const auto refused = world.Send(SetPolicy{"lottery"});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().hint.find("fair"), std::string::npos);
}

TEST_F(SharingTest, AQueueHoldsNoMoreThanItsMaximumAndOthersPass) {
  world.AddNode(1, 4);
  ASSERT_TRUE(world.Send(SetQueue{"small", {.slots_max = 1}}));
  const JobId a = Add(1, Of("small", "ann"));
  const JobId b = Add(2, Of("small", "ann"));
  const JobId c = Add(3, Of("default", "bob"));
  world.Tick();
  EXPECT_TRUE(Holds(a));
  EXPECT_FALSE(Holds(b));
  EXPECT_TRUE(Holds(c));
  EXPECT_NE(Held(world.ledger).Refusal(world.At(b)).find("may hold 1"), std::string::npos);
  Finish(a);
  world.Tick();
  EXPECT_TRUE(Holds(b));
}

TEST_F(SharingTest, AUserHoldsNoMoreThanTheQueueGivesEach) {
  world.AddNode(1, 4);
  ASSERT_TRUE(world.Send(SetQueue{"default", {.user_slots = 1}}));
  const JobId a = Add(1, Of("default", "ann"));
  const JobId b = Add(2, Of("default", "ann"));
  const JobId c = Add(3, Of("default", "bob"));
  world.Tick();
  EXPECT_TRUE(Holds(a) && !Holds(b) && Holds(c));
}

TEST_F(SharingTest, AnElasticGangTakesWhatTheLimitLeaves) {
  world.AddNode(1, 8);
  ASSERT_TRUE(world.Send(SetQueue{"default", {.slots_max = 3}}));
  const JobId id = Add(1, World::Request(1, 8));
  world.Tick();
  EXPECT_EQ(world.GangOf(id).size, 2U);
}

TEST_F(SharingTest, FairGivesSlotsByWeight) {
  world.AddNode(1, 6);
  ASSERT_TRUE(world.Send(SetPolicy{"fair"}));
  ASSERT_TRUE(world.Send(SetQueue{"heavy", {.weight = 2}}));
  ASSERT_TRUE(world.Send(SetQueue{"light", {.weight = 1}}));
  std::vector<JobId> heavy;
  std::vector<JobId> light;
  for (std::uint64_t i = 0; i < 6; ++i) light.push_back(Add(1 + i, Of("light", "ann")));
  for (std::uint64_t i = 0; i < 6; ++i) heavy.push_back(Add(11 + i, Of("heavy", "bob")));
  world.Tick();
  const auto count = [&](const std::vector<JobId>& jobs) {
    return std::count_if(jobs.begin(), jobs.end(), [&](JobId id) { return Holds(id); });
  };
  EXPECT_EQ(count(heavy), 4);
  EXPECT_EQ(count(light), 2);
}

TEST_F(SharingTest, LongRunSharesFollowTheWeights) {
  world.check = false;
  world.AddNode(1, 4);
  world.Start();
  ASSERT_TRUE(world.Send(SetPolicy{"fair"}));
  ASSERT_TRUE(world.Send(SetQueue{"a", {.weight = 3}}));
  ASSERT_TRUE(world.Send(SetQueue{"b", {.weight = 1}}));
  std::uint64_t bits = 0;
  std::map<std::string, double> held;
  // Both always have work; a gang runs for an hour. A month of minutes.
  for (int minute = 0; minute < 30 * 24 * 60; ++minute) {
    for (const char* queue : {"a", "b"}) {
      while (world.ledger.queued_by[QueueUser{queue, "ann"}].size() < 4)
        Add(++bits, Of(queue, "ann"));
    }
    world.Pass(60s);
    std::vector<GangSeen> gangs;
    for (const JobId job : world.ledger.active) gangs.push_back(world.Seen(job));
    world.Beat(NodeId{1}, gangs);
    const std::set<JobId> active = world.ledger.active;
    for (const JobId id : active) {
      const GangTrack& track = world.liveness.gangs.at({id, world.At(id).attempt});
      if (world.now - track.first_noticed >= 3600s) Finish(id);
    }
    world.Tick();
    world.facts.clear();
    for (const auto& [who, taken] : world.ledger.held_by)
      held[who.queue] += static_cast<double>(taken.slots);
  }
  EXPECT_NEAR(held["a"] / (held["a"] + held["b"]), 0.75, 0.02);
}

// A gang of somebody who is always behind others, two small ones that run, and one that comes when
// the gang has waited for `waited` and a slot is free: whether it passes.
class TurnTest : public SharingTest {
 protected:
  JobId running, gang, late;

  bool PassesAfter(Duration waited) {
    EXPECT_TRUE(world.Send(SetPolicy{"fair"}));
    EXPECT_TRUE(world.Send(SetQueue{"first", {.weight = 1000}}));
    world.AddNode(1, 2);
    world.Start();
    const JobId before = Add(1, Of("default", "ann", 2), 10, 60'000);
    world.Tick();
    world.Started(before);
    world.Live(121s);  // ann has used something
    Finish(before);
    running = Add(2, Of("first", "bob"), 1000, 40'000'000);
    const JobId leaves = Add(3, Of("first", "bob"), 1000, 40'000'000);
    world.Tick();
    world.Started(running);
    world.Started(leaves);
    gang = Add(4, Of("default", "ann", 2));
    world.Live(waited);
    Finish(leaves);
    world.Tick();
    late = Add(5, Of("first", "bob"), 1000, 1'000'000'000);
    world.Tick();
    EXPECT_FALSE(Holds(gang));
    return Holds(late);
  }
};

TEST_F(TurnTest, UnderFairATurnThatCameAfterALongWaitIsKept) {
  EXPECT_FALSE(PassesAfter(kTurnKeptAfter + 121s));
  EXPECT_EQ(FirstInQueue({world.ledger, world.liveness, DefaultPolicy()}, 1).front()->id, gang);
  Finish(running);
  world.Tick();
  EXPECT_TRUE(Holds(gang) && !Holds(late));
  // It is over with its start.
  EXPECT_FALSE(world.liveness.turn);
}

TEST_F(TurnTest, OneThatHasNotWaitedForLongIsPassedByTheShares) {
  EXPECT_TRUE(PassesAfter(kTurnKeptAfter / 2));
}

TEST_F(TurnTest, ATurnIsLostByWhatMayNotStartAnyMore) {
  EXPECT_FALSE(PassesAfter(kTurnKeptAfter + 121s));
  ASSERT_TRUE(world.Send(Pause{gang}));
  world.Tick();
  EXPECT_TRUE(Holds(late));
}

TEST_F(SharingTest, ShortJobsPassAReservationThatTheyDoNotPutOff) {
  world.AddNode(1, 4);
  const JobId running = Add(1, Of("default", "ann", 2), 100, 100'000);
  world.Tick();
  world.Started(running);
  const JobId large = Add(2, Of("default", "ann", 4), 10, 10'000);
  const JobId quick = Add(3, Of("default", "ann", 1), 10, 5'000);
  const JobId slow = Add(4, Of("default", "ann", 1), 1000, 900'000);
  world.Tick();
  EXPECT_FALSE(Holds(large));
  EXPECT_TRUE(Holds(quick)) << "it ends before the large one can start";
  EXPECT_FALSE(Holds(slow)) << "it would put the large one off";
}

TEST_F(SharingTest, NobodyPassesWhereNothingIsKnownOfEnds) {
  world.AddNode(1, 4);
  const JobId running = Add(1, Of("default", "ann", 2));
  world.Tick();
  const JobId large = Add(2, Of("default", "ann", 4));
  const JobId small = Add(3, Of("default", "ann", 1), 10, 10);
  world.Tick();
  EXPECT_TRUE(Holds(running) && !Holds(large) && !Holds(small));
}

TEST_F(SharingTest, SrtfPlacesTheLeastWorkFirst) {
  ASSERT_TRUE(world.Send(SetPolicy{"srtf"}));
  const JobId slow = Add(1, Of("default", "ann"), 1000, 1'000'000);
  const JobId quick = Add(2, Of("default", "ann"), 10, 10'000);
  world.AddNode(1, 1);
  world.Tick();
  EXPECT_TRUE(Holds(quick) && !Holds(slow));
}

TEST_F(SharingTest, SrtfStopsALongGangForAShortJobButNotBeforeItsTime) {
  ASSERT_TRUE(world.Send(SetPolicy{"srtf"}));
  world.AddNode(1, 1);
  world.Start();
  const JobId slow = Add(1, Of("default", "ann"), 1000, 10'000'000);
  world.Tick();
  world.Started(slow);
  const JobId quick = Add(2, Of("default", "ann"), 10, 10'000);
  world.Live(30s);
  EXPECT_TRUE(std::holds_alternative<Running>(world.At(slow).phase));
  world.Live(40s);
  ASSERT_TRUE(std::holds_alternative<Stopping>(world.At(slow).phase));
  EXPECT_EQ(std::get<Stopping>(world.At(slow).phase).why, StopWhy::kPreempt);
  ASSERT_TRUE(world.Send(world.Ended(slow, GangOutcome::kReleased)));
  world.Tick();
  EXPECT_TRUE(Holds(quick) && !Holds(slow));
  EXPECT_EQ(world.At(slow).fruitless_attempts, 0U);
}

TEST_F(SharingTest, AQueueTakesBackWhatItLent) {
  ASSERT_TRUE(world.Send(SetQueue{"owner", {.slots = 2}}));
  world.AddNode(1, 2);
  world.Start();
  const JobId borrower = Add(1, Of("default", "ann", 2));
  world.Tick();
  ASSERT_TRUE(Holds(borrower)) << "idle slots are lent";
  world.Started(borrower);
  world.Live(61s);
  const JobId own = Add(2, Of("owner", "bob", 2));
  world.Tick();
  ASSERT_TRUE(std::holds_alternative<Stopping>(world.At(borrower).phase));
  ASSERT_TRUE(world.Send(world.Ended(borrower, GangOutcome::kReleased)));
  ASSERT_TRUE(world.Send(SetPriority{own, 1}));
  world.Tick();
  EXPECT_TRUE(Holds(own) && !Holds(borrower));
}

TEST_F(SharingTest, UsageIsChargedWhileGangsRunAndDecays) {
  world.AddNode(1, 2);
  world.Start();
  const JobId id = Add(1, Of("default", "ann", 2));
  world.Tick();
  world.Started(id);
  world.Live(121s);
  const Usage& usage = world.ledger.sharing.usage.at({"default", "ann"});
  EXPECT_NEAR(usage.recent_slot_ms, 2 * 120'000, 2 * 2'000);
  Finish(id);
  EXPECT_NEAR(static_cast<double>(usage.slot_ms), 2 * 121'000, 2 * 1'000);
  EXPECT_EQ(SanityCheck(world.ledger), "");
  EXPECT_TRUE(world.Replayed() == world.ledger);
}

TEST_F(SharingTest, TwoMeasuredSizesTellHowStepsScale) {
  world.AddNode(1, 4);
  const JobId id = Add(1, World::Request(1, 4), 1000, 0);
  Job job = world.At(id);
  AttemptRecord one;
  one.ranks = 1;
  one.last_step = 100;
  one.ran_ms = 100'000;
  AttemptRecord two = one;
  two.ranks = 2;
  two.ran_ms = 60'000;  // 0.6 of the time: four fifths are divided
  job.attempts = {one, two};
  const auto on = [&](std::uint32_t ranks) { return *StepMs(job, world.ledger.learned, ranks); };
  EXPECT_NEAR(on(4).value, 400, 1);
  EXPECT_NEAR(on(2).value, 600, 1e-6);
  EXPECT_LT(on(2).low, 600);
  EXPECT_GT(on(2).high, 600);
}

}  // namespace
}  // namespace tutti::core
