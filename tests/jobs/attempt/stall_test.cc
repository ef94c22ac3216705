#include "jobs/attempt/stall.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tutti::attempt {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

Instant At(Duration d) { return Instant{d}; }

// Three ranks inside steps of 100 ms. All got on at 10 s; since then the first and the last wait in
// collective 8, which the second has not entered.
class StallTest : public testing::Test {
 protected:
  void SetUp() override {
    state = Begin({.local_ranks = 3, .gang_size = 3, .worker = "w1"}, Limits{}, At(0s));
    state.phase = Phase::kRunning;
    state.step_times = {100ms, 100ms, 100ms, 100ms, 900ms};
    for (Rank& rank : state.ranks) {
      rank.life = Rank::Life::kAlive;
      rank.phase = "reduce";
      rank.collective = 8;
      rank.step = 56;
      rank.pid = 77;
      rank.last_beat = rank.got_on = At(10s);
    }
    state.ranks[1].collective = 7;
    state.ranks[1].phase = "data";
  }
  // Those ranks say at `now` that they wait.
  Stalls FindAt(Duration now, const std::vector<std::uint32_t>& waiting) {
    for (const std::uint32_t rank : waiting) {
      state.ranks[rank].waiting = true;
      state.ranks[rank].last_beat = At(now);
    }
    return FindStalls(state, At(now));
  }

  State state;
};

TEST_F(StallTest, NobodyIsNamedBeforeTheBound) {
  EXPECT_TRUE(FindAt(10s + 999ms, {0, 2}).ranks.empty());
}

TEST_F(StallTest, TheRankThatTheOthersWaitForIsNamedWithCollectiveAndStep) {
  const Stalls stalls = FindAt(11s, {0, 2});
  ASSERT_EQ(stalls.ranks.size(), 1u);
  const Stall& stall = stalls.ranks[0];
  EXPECT_EQ(stall.rank, 1u);
  EXPECT_EQ(stall.collective, "reduce");
  EXPECT_EQ(stall.sequence, 8u);
  EXPECT_EQ(stall.step, 57u);
  EXPECT_FALSE(stalls.fatal);
  EXPECT_EQ(stall.message,
            "rank 1 on worker w1 (pid 77) stands still while it computes step 57 and holds up "
            "'reduce', collective 8: silent for 1.0 s");
}

TEST_F(StallTest, OfThoseInTheSameCollectiveTheOneThatDoesNotSayItWaits) {
  state.ranks[1].phase = "reduce";
  state.ranks[1].collective = 8;
  const Stalls stalls = FindAt(12s, {0, 1});
  ASSERT_EQ(stalls.ranks.size(), 1u);
  EXPECT_EQ(stalls.ranks[0].rank, 2u);
}

TEST_F(StallTest, AnOldWordOfWaitingIsNoneAnyMore) {
  state.ranks[1].collective = 8;
  FindAt(10s + 100ms, {0, 1, 2});
  const Stalls stalls = FindAt(12s, {0, 1});
  ASSERT_EQ(stalls.ranks.size(), 1u);
  EXPECT_EQ(stalls.ranks[0].rank, 2u);
}

TEST_F(StallTest, WhereAllWaitForAnotherMachineNobodyIsNamed) {
  state.gang_size = 6;
  state.ranks[1].phase = "reduce";
  state.ranks[1].collective = 8;
  EXPECT_TRUE(FindAt(10s + 60s, {0, 1, 2}).ranks.empty());
  EXPECT_TRUE(FindAt(10s + state.limits.quiet, {0, 1, 2}).fatal);
}

TEST_F(StallTest, OneOfOursIsNamedInALargerGangToo) {
  state.gang_size = 6;
  const Stalls stalls = FindAt(12s, {0, 2});
  ASSERT_EQ(stalls.ranks.size(), 1u);
  EXPECT_EQ(stalls.ranks[0].rank, 1u);
}

TEST_F(StallTest, AStoppedRankIsNamedInAnyPhase) {
  state.ranks[0].phase = "checkpoint";
  state.ranks[2].stopped = true;
  EXPECT_TRUE(FindAt(10s + 900ms, {1}).ranks.empty());
  const Stalls stalls = FindAt(11s, {1});
  ASSERT_EQ(stalls.ranks.size(), 1u);
  EXPECT_EQ(stalls.ranks[0].rank, 2u);
  EXPECT_THAT(stalls.ranks[0].message, HasSubstr("is stopped by a signal"));
  EXPECT_FALSE(stalls.fatal);
  EXPECT_TRUE(FindAt(21s, {1}).fatal);
}

TEST_F(StallTest, EveryStoppedRankIsNamed) {
  state.ranks[1].stopped = state.ranks[2].stopped = true;
  EXPECT_EQ(FindAt(12s, {0}).ranks.size(), 2u);
}

TEST_F(StallTest, AStoppedRankIsNamedWhileTheGangStarts) {
  state.phase = Phase::kStarting;
  state.step_times.clear();
  EXPECT_TRUE(FindAt(12s, {}).ranks.empty());
  state.ranks[1].stopped = true;
  EXPECT_EQ(FindAt(12s, {}).ranks.size(), 1u);
}

TEST_F(StallTest, LongSilenceIsFatal) {
  EXPECT_FALSE(FindAt(20s + 900ms, {0, 2}).fatal);
  EXPECT_TRUE(FindAt(21s, {0, 2}).fatal);
}

TEST_F(StallTest, AnEvaluationIsNamedAsSoonAndGivenUpLater) {
  for (Rank& rank : state.ranks) rank.phase = "evaluate";
  const Stalls stalls = FindAt(60s, {0, 2});
  ASSERT_EQ(stalls.ranks.size(), 1u);
  EXPECT_EQ(stalls.ranks[0].collective, "evaluate");
  EXPECT_FALSE(stalls.fatal);
  EXPECT_TRUE(FindAt(71s, {0, 2}).fatal);
}

TEST_F(StallTest, AWriterOfCheckpointsMayTakeLong) {
  state.ranks[0].phase = "checkpoint";
  EXPECT_TRUE(FindAt(60s, {1, 2}).ranks.empty());
}

TEST_F(StallTest, OneRankThatGetsOnIsNoStall) {
  state.ranks[0].got_on = state.ranks[0].last_beat = At(20s);
  EXPECT_TRUE(FindAt(20s + 100ms, {2}).ranks.empty());
}

// ---- in the life of an attempt -----------------------------------------------------------------

class StallLife : public StallTest {
 protected:
  std::vector<Action> Tick(Duration now) { return Step(state, attempt::Tick{}, At(now)); }
  void Beat(std::uint32_t rank, Duration now, bool waiting) {
    Step(state,
         FromRank{rank, enginelink::Beat{.rank = rank,
                                         .step = 56,
                                         .collective = state.ranks[rank].collective,
                                         .phase = "reduce",
                                         .waiting = waiting}},
         At(now));
  }
};

TEST_F(StallLife, IsReportedOnceAndTakenBackWhenTheRankGoesOn) {
  Beat(0, 11s, true);
  Beat(2, 11s, true);
  std::vector<Action> actions = Tick(11s);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_FALSE(std::get<ReportStall>(actions[0]).over);
  EXPECT_EQ(state.stalls.size(), 1u);
  EXPECT_TRUE(Tick(11s + 100ms).empty());

  Beat(1, 12s + 500ms, false);
  actions = Tick(12s + 600ms);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_TRUE(std::get<ReportStall>(actions[0]).over);
  EXPECT_THAT(std::get<ReportStall>(actions[0]).stall.message,
              HasSubstr("rank 1 on worker w1 goes on after"));
  EXPECT_TRUE(state.stalls.empty());
}

TEST_F(StallLife, TheGangIsGivenUpAsHung) {
  for (const Duration now : {11s, 21s}) {
    Beat(0, now, true);
    Beat(2, now, true);
    Tick(now);
  }
  EXPECT_EQ(state.phase, Phase::kKilling);
  ASSERT_TRUE(state.failure);
  EXPECT_EQ(state.failure->reason, spec::FailureReason::kHang);
  EXPECT_THAT(state.failure->message, HasSubstr("rank 1 on worker w1"));
  EXPECT_TRUE(state.stalls.empty());
}

TEST_F(StallLife, AProbeCountsUntilTheRankSpeaks) {
  Step(state, RankProbed{1, true}, At(10s + 500ms));
  EXPECT_TRUE(state.ranks[1].stopped);
  Beat(1, 11s, false);
  EXPECT_FALSE(state.ranks[1].stopped);
}

}  // namespace
}  // namespace tutti::attempt
