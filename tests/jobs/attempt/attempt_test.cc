#include "jobs/attempt/attempt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "jobs/attempt/classify.h"

namespace tutti::attempt {
namespace {

using namespace std::chrono_literals;
using enginelink::Beat;
using enginelink::Checkpoint;
using enginelink::Done;
using enginelink::Failed;
using enginelink::Ready;
using spec::FailureReason;

constexpr std::int32_t Exit(int code) { return code << 8; }

class Life : public testing::Test {
 protected:
  void SetUp() override { Restart(2); }
  void Restart(std::uint32_t ranks) {
    now_ = {};
    state_ = Begin({.local_ranks = ranks, .gang_size = ranks}, Limits{}, now_);
    seen_.clear();
  }

  void Do(const Event& event) {
    for (Action& action : Step(state_, event, now_)) seen_.push_back(std::move(action));
    CheckInvariants(state_);
  }
  void Wait(Duration duration) {
    now_ = now_ + duration;
    Do(Tick{});
  }
  void Say(std::uint32_t rank, enginelink::ToWorker message) { Do(FromRank{rank, message}); }
  void ToRunning() {
    Do(InputsReady{});
    for (std::uint32_t r = 0; r < state_.ranks.size(); ++r)
      Do(Spawned{r, 100 + static_cast<int>(r)});
    for (std::uint32_t r = 0; r < state_.ranks.size(); ++r)
      Say(r, Ready{.rank = r, .from_step = 0});
    ASSERT_EQ(state_.phase, Phase::kRunning);
    seen_.clear();
  }
  void ExitAll(std::int32_t status) {
    for (std::uint32_t r = 0; r < state_.ranks.size(); ++r) Do(RankExited{r, status, 0});
  }

  template <typename A>
  int Count() const {
    int count = 0;
    for (const Action& action : seen_) count += std::holds_alternative<A>(action) ? 1 : 0;
    return count;
  }
  template <typename A>
  const A* Last() const {
    return seen_.empty() ? nullptr : std::get_if<A>(&seen_.back());
  }

  Instant now_;
  State state_;
  std::vector<Action> seen_;
};

TEST_F(Life, SucceedsByWayOfTheUpload) {
  Do(InputsReady{});
  EXPECT_EQ(Count<SpawnRanks>(), 1);
  Do(Spawned{0, 100});
  Do(Spawned{1, 101});
  now_ = now_ + Duration(3s);
  Say(1, Ready{.rank = 1, .from_step = 40});
  EXPECT_EQ(Count<ReportStarted>(), 0);
  Say(0, Ready{.rank = 0, .from_step = 40});
  ASSERT_NE(Last<ReportStarted>(), nullptr);
  EXPECT_EQ(Last<ReportStarted>()->from_step, 40u);
  EXPECT_EQ(Last<ReportStarted>()->launch, Duration(3s));
  Say(0, enginelink::Progress{.step = 50});
  EXPECT_NE(Last<Forward>(), nullptr);
  Say(0, Done{.step = 60, .metrics = {{"accuracy", 0.9}}, .files = {"model.safetensors"}});
  Do(RankExited{1, Exit(0), 7});
  EXPECT_EQ(Count<UploadExport>(), 0);  // rank 0 may still write
  Do(RankExited{0, Exit(0), 5});
  ASSERT_NE(Last<UploadExport>(), nullptr);
  EXPECT_THAT(Last<UploadExport>()->files, testing::ElementsAre("model.safetensors"));
  Do(UploadFinished{});
  EXPECT_NE(Last<CleanUp>(), nullptr);
  Do(CleanedUp{});
  ASSERT_NE(Last<ReportEnded>(), nullptr);
  EXPECT_EQ(Last<ReportEnded>()->outcome, Outcome::kSucceeded);
  EXPECT_EQ(Last<ReportEnded>()->step, 60u);
  EXPECT_EQ(Last<ReportEnded>()->memory_peak_bytes, 7u);
  EXPECT_EQ(Last<ReportEnded>()->metrics.at("accuracy"), 0.9);
}

TEST_F(Life, APartWithoutRankZeroHandsNothingOverAndEndsAsReleased) {
  state_ = Begin({.local_ranks = 2, .first_rank = 2, .gang_size = 4}, Limits{}, now_);
  ToRunning();
  Say(0, Done{.step = 60});
  ExitAll(Exit(0));
  EXPECT_EQ(Count<UploadExport>(), 0);
  Do(CleanedUp{});
  ASSERT_NE(Last<ReportEnded>(), nullptr);
  EXPECT_EQ(Last<ReportEnded>()->outcome, Outcome::kReleased);
}

TEST_F(Life, AKilledRankTakesItsPeersDownAndIsACrash) {
  ToRunning();
  Do(RankExited{1, SIGKILL, 0});
  EXPECT_NE(Last<KillRanks>(), nullptr);
  EXPECT_EQ(Count<CleanUp>(), 0);
  Do(RankExited{0, SIGKILL, 0});
  EXPECT_NE(Last<CleanUp>(), nullptr);
  Do(CleanedUp{});
  ASSERT_NE(Last<ReportEnded>(), nullptr);
  EXPECT_EQ(Last<ReportEnded>()->reason, FailureReason::kCrash);
  EXPECT_THAT(Last<ReportEnded>()->message, testing::HasSubstr("rank 1 was killed by SIGKILL"));
}

TEST_F(Life, SigkillWithTheKernelsMemoryKillerIsOom) {
  ToRunning();
  Do(MemoryExceeded{.rank = {}, .message = "the kernel killed a process for memory"});
  EXPECT_EQ(seen_.size(), 0u);  // evidence alone fails nobody
  Do(RankExited{0, SIGKILL, 0});
  Do(RankExited{1, SIGKILL, 0});
  Do(CleanedUp{});
  EXPECT_EQ(Last<ReportEnded>()->reason, FailureReason::kOom);
}

TEST_F(Life, RankAboveItsLimitIsKilledAsOom) {
  ToRunning();
  Do(MemoryExceeded{.rank = 1, .message = "rank 1 uses 5 GiB"});
  EXPECT_EQ(Count<KillRanks>(), 1);
  ExitAll(SIGKILL);
  Do(CleanedUp{});
  EXPECT_EQ(Last<ReportEnded>()->reason, FailureReason::kOom);
  EXPECT_EQ(Last<ReportEnded>()->message, "rank 1 uses 5 GiB");
}

TEST_F(Life, TheFirstCauseIsTheCause) {
  ToRunning();
  Say(1, Failed{.rank = 1, .reason = "numeric", .message = "loss is NaN", .step = 12});
  Say(0, Failed{.rank = 0, .reason = "crash", .message = "a peer is gone"});
  ExitAll(Exit(1));
  Do(CleanedUp{});
  EXPECT_EQ(Last<ReportEnded>()->reason, FailureReason::kNumeric);
  EXPECT_EQ(Last<ReportEnded>()->message, "rank 1: loss is NaN");
  EXPECT_EQ(Last<ReportEnded>()->step, 12u);
}

TEST_F(Life, ARankThatLeftBecauseAPeerIsGoneIsNotTheCause) {
  for (const bool says_so : {true, false}) {
    Restart(2);
    ToRunning();
    if (says_so) {
      Say(0,
          Failed{.rank = 0, .reason = "crash", .message = "a peer is gone", .consequence = true});
    }
    Do(RankExited{0, Exit(kExitPeerGone), 0});
    EXPECT_EQ(Count<KillRanks>(), 0);
    Do(RankExited{1, SIGSEGV, 0});
    Do(CleanedUp{});
    ASSERT_NE(Last<ReportEnded>(), nullptr);
    EXPECT_EQ(Last<ReportEnded>()->message, "rank 1 was killed by SIGSEGV");
  }
}

TEST_F(Life, AnErrorThatComesAfterItsConsequenceIsTheCause) {
  ToRunning();
  Do(RankExited{0, Exit(kExitPeerGone), 0});
  Say(1, Failed{.rank = 1, .reason = "disk_full", .message = "no space", .step = 7});
  EXPECT_EQ(Count<KillRanks>(), 1);
  Do(RankExited{1, Exit(12), 0});
  Do(CleanedUp{});
  EXPECT_EQ(Last<ReportEnded>()->reason, FailureReason::kDiskFull);
  EXPECT_EQ(Last<ReportEnded>()->message, "rank 1: no space");
}

TEST_F(Life, ACauseIsWaitedForBriefly) {
  ToRunning();
  Say(0, Failed{.rank = 0, .reason = "crash", .message = "a peer is gone", .consequence = true});
  Wait(state_.limits.cause / 2);
  EXPECT_EQ(Count<KillRanks>(), 0);
  Wait(state_.limits.cause / 2);
  EXPECT_EQ(Count<KillRanks>(), 1);
  // It had died before our signal: still better than the consequence.
  Do(RankExited{1, SIGABRT, 0});
  Do(RankExited{0, SIGKILL, 0});
  Do(CleanedUp{});
  EXPECT_EQ(Last<ReportEnded>()->message, "rank 1 was killed by SIGABRT");
}

TEST_F(Life, WhereOnlyConsequencesAreKnownTheFirstIsTold) {
  ToRunning();
  Do(RankExited{1, Exit(kExitPeerGone), 0});
  Do(RankExited{0, Exit(kExitPeerGone), 0});
  Do(CleanedUp{});
  EXPECT_EQ(Last<ReportEnded>()->reason, FailureReason::kCrash);
  EXPECT_EQ(Last<ReportEnded>()->message, "rank 1 ended because a peer was gone");
}

TEST_F(Life, UnknownReasonsAreInternal) {
  ToRunning();
  Say(0, Failed{.rank = 0, .reason = "of a later version", .message = "?"});
  ExitAll(Exit(1));
  Do(CleanedUp{});
  EXPECT_EQ(Last<ReportEnded>()->reason, FailureReason::kInternal);
}

TEST_F(Life, CheckpointStopEndsReleased) {
  ToRunning();
  Do(StopRequested{Stop::kCheckpoint, "pause"});
  ASSERT_NE(Last<SendToRankZero>(), nullptr);
  Do(StopRequested{Stop::kCheckpoint, "pause"});  // repeated: nothing new
  EXPECT_EQ(seen_.size(), 1u);
  Say(0, Checkpoint{.step = 9, .path = "9.h5", .state_digest = "sha256:00"});
  EXPECT_NE(Last<ReportCheckpoint>(), nullptr);
  Say(0, Done{.outcome = Done::Outcome::kReleased, .step = 9});
  ExitAll(Exit(0));
  EXPECT_EQ(Count<UploadExport>(), 0);
  Do(CleanedUp{});
  EXPECT_EQ(Last<ReportEnded>()->outcome, Outcome::kReleased);
}

TEST_F(Life, ACheckpointCanBeAskedForWhileItTrains) {
  Do(InputsReady{});
  Do(CheckpointRequested{});
  EXPECT_EQ(Count<SendToRankZero>(), 0);
  Restart(2);
  ToRunning();
  Do(CheckpointRequested{});
  ASSERT_NE(Last<SendToRankZero>(), nullptr);
  EXPECT_TRUE(std::holds_alternative<enginelink::CheckpointNow>(Last<SendToRankZero>()->message));
  EXPECT_EQ(state_.phase, Phase::kRunning);
  Do(StopRequested{Stop::kCheckpoint, "pause"});
  seen_.clear();
  Do(CheckpointRequested{});  // the stop makes one
  EXPECT_TRUE(seen_.empty());
}

TEST_F(Life, StopBeforeTrainingKills) {
  Do(InputsReady{});
  Do(Spawned{0, 100});
  Do(StopRequested{Stop::kCheckpoint, "drain"});
  EXPECT_NE(Last<KillRanks>(), nullptr);
  Do(Spawned{1, 101});  // the late one is killed too
  EXPECT_NE(Last<KillRanks>(), nullptr);
  ExitAll(SIGKILL);
  Do(CleanedUp{});
  EXPECT_EQ(Last<ReportEnded>()->outcome, Outcome::kKilled);
}

TEST_F(Life, StopWhileFetchingNeedsNoKill) {
  Do(StopRequested{Stop::kKill, "cancel"});
  EXPECT_EQ(Count<KillRanks>(), 0);
  Do(CleanedUp{});
  EXPECT_EQ(Last<ReportEnded>()->outcome, Outcome::kKilled);
  Do(InputsReady{});  // late
  EXPECT_EQ(Count<SpawnRanks>(), 0);
}

TEST_F(Life, NoCheckpointInTimeKills) {
  ToRunning();
  Do(StopRequested{Stop::kCheckpoint, "pause"});
  Wait(state_.limits.stop);
  EXPECT_NE(Last<KillRanks>(), nullptr);
  ExitAll(SIGKILL);
  Do(CleanedUp{});
  EXPECT_EQ(Last<ReportEnded>()->outcome, Outcome::kKilled);
}

TEST_F(Life, KillDuringUploadCancelsIt) {
  ToRunning();
  Say(0, Done{.step = 5});
  ExitAll(Exit(0));
  Do(StopRequested{Stop::kKill, "cancel"});
  Do(UploadFinished{});
  Do(CleanedUp{});
  EXPECT_EQ(Last<ReportEnded>()->outcome, Outcome::kKilled);
}

TEST_F(Life, AnExitBrokenAfterDoneIsOnlyTold) {
  ToRunning();
  Say(0, Done{.step = 5});
  Do(RankExited{0, Exit(0), 0});
  Do(RankExited{1, SIGSEGV, 0});
  EXPECT_EQ(Count<ReportWarning>(), 1);
  Do(UploadFinished{});
  Do(CleanedUp{});
  EXPECT_EQ(Last<ReportEnded>()->outcome, Outcome::kSucceeded);
}

TEST_F(Life, SilentCleanExitIsAFailure) {
  ToRunning();
  ExitAll(Exit(0));
  Do(CleanedUp{});
  EXPECT_EQ(Last<ReportEnded>()->reason, FailureReason::kInternal);
}

TEST_F(Life, RanksThatStayAfterTheFirstExitAreKilled) {
  ToRunning();
  Do(RankExited{1, Exit(0), 0});
  Wait(state_.limits.finish);
  EXPECT_NE(Last<KillRanks>(), nullptr);
  Do(RankExited{0, SIGKILL, 0});
  Do(CleanedUp{});
  EXPECT_EQ(Last<ReportEnded>()->reason, FailureReason::kHang);
}

TEST_F(Life, KillIsRepeatedUntilAllAreGone) {
  ToRunning();
  Do(StopRequested{Stop::kKill, "cancel"});
  for (int i = 2; i < 100; ++i) {
    Wait(state_.limits.kill_again);
    ASSERT_EQ(Count<KillRanks>(), i);
  }
  EXPECT_EQ(Count<CleanUp>(), 0);
  ExitAll(SIGKILL);
  EXPECT_EQ(Count<CleanUp>(), 1);
}

TEST_F(Life, DeathOfTheZygoteIsACrash) {
  Do(InputsReady{});
  Do(Spawned{0, 100});
  Do(ZygoteDied{});  // rank 1 was never heard of
  EXPECT_NE(Last<KillRanks>(), nullptr);
  Do(RankExited{0, SIGKILL, 0});
  Do(CleanedUp{});
  EXPECT_EQ(Last<ReportEnded>()->reason, FailureReason::kCrash);
}

TEST_F(Life, SpawnThatFailsEverywhereEnds) {
  Do(InputsReady{});
  Do(SpawnFailed{0, "no memory"});
  Do(SpawnFailed{1, "no memory"});
  Do(CleanedUp{});
  ASSERT_NE(Last<ReportEnded>(), nullptr);
  EXPECT_EQ(Last<ReportEnded>()->reason, FailureReason::kInternal);
}

TEST_F(Life, InputsThatCannotBeHadEnd) {
  Do(InputsFailed{FailureReason::kDiskFull, "no space"});
  Do(CleanedUp{});
  EXPECT_EQ(Last<ReportEnded>()->reason, FailureReason::kDiskFull);
}

TEST_F(Life, OneRankIsEnough) {
  Restart(1);
  ToRunning();
  Say(0, Done{.step = 1});
  ExitAll(Exit(0));
  Do(UploadFinished{});
  Do(CleanedUp{});
  EXPECT_EQ(Last<ReportEnded>()->outcome, Outcome::kSucceeded);
}

}  // namespace
}  // namespace tutti::attempt
