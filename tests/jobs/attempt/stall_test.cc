#include "jobs/attempt/stall.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tutti::attempt {
namespace {

using namespace std::chrono_literals;

Instant At(Duration d) { return Instant{d}; }

// Three ranks inside steps of 100 ms; all last heard at 10 s.
State Running() {
  State state = Begin({.local_ranks = 3, .gang_size = 3}, Limits{}, At(0s));
  state.phase = Phase::kRunning;
  state.step_times = {100ms, 100ms, 100ms, 100ms, 900ms};
  for (Rank& rank : state.ranks) {
    rank.life = Rank::Life::kAlive;
    rank.phase = "reduce";
    rank.collective = 7;
    rank.last_beat = At(10s);
  }
  return state;
}

TEST(Stall, NobodyIsNamedWithinThreeStepsAndASecond) {
  EXPECT_FALSE(FindStall(Running(), At(11s + 299ms)));
}

TEST(Stall, TheRankThatEnteredFewestReductionsIsNamed) {
  State state = Running();
  state.ranks[1].collective = 6;
  state.ranks[1].phase = "backward";
  const auto stall = FindStall(state, At(11s + 300ms));
  ASSERT_TRUE(stall);
  EXPECT_EQ(stall->rank, 1u);
  EXPECT_FALSE(stall->fatal);
  EXPECT_THAT(stall->message, testing::HasSubstr("rank 1"));
}

TEST(Stall, OfThoseTheOneThatDoesNotWait) {
  State state = Running();
  state.ranks[2].phase = "forward";
  ASSERT_TRUE(FindStall(state, At(12s)));
  EXPECT_EQ(FindStall(state, At(12s))->rank, 2u);
}

TEST(Stall, WhoWaitsForAnotherMachineNamesNobodyHere) {
  State state = Running();
  state.gang_size = 6;
  EXPECT_FALSE(FindStall(state, At(10s + 15s)));
  state.ranks[2].phase = "forward";  // it is one of ours after all
  ASSERT_TRUE(FindStall(state, At(12s)));
  EXPECT_EQ(FindStall(state, At(12s))->rank, 2u);
  EXPECT_TRUE(FindStall(state, At(10s + 60s))->fatal);
}

TEST(Stall, LongSilenceIsFatal) { EXPECT_TRUE(FindStall(Running(), At(10s + 11s))->fatal); }

TEST(Stall, EvaluationMayTakeLonger) {
  State state = Running();
  state.ranks[0].phase = "evaluate";
  EXPECT_FALSE(FindStall(state, At(60s)));
  EXPECT_TRUE(FindStall(state, At(10s + state.limits.quiet))->fatal);
}

TEST(Stall, OneTalkingRankIsNoStall) {
  State state = Running();
  state.ranks[0].last_beat = At(20s);
  EXPECT_FALSE(FindStall(state, At(20s + 100ms)));
}

}  // namespace
}  // namespace tutti::attempt
