// Random lives: whatever happens in whatever order, there is exactly one end, it is the last
// action, and no rank is left when it is told.
#include <gtest/gtest.h>
#include <signal.h>

#include <random>

#include "jobs/attempt/attempt.h"

namespace tutti::attempt {
namespace {

using namespace std::chrono_literals;

class RandomLife {
 public:
  explicit RandomLife(std::uint64_t seed) : random_(seed) {
    const std::uint32_t ranks = 1 + Below(4);
    state_ = Begin({.local_ranks = ranks, .gang_size = ranks}, Limits{}, now_);
    alive_.resize(state_.ranks.size(), Where::kNowhere);
  }

  void Run() {
    for (int i = 0; i < 400 && ends_ == 0; ++i) {
      now_ = now_ + Duration(std::chrono::milliseconds(Below(800)));
      Do(AnyEvent());
    }
    // The world calms down: the killed die, the worker answers, time passes.
    for (int i = 0; i < 100 && ends_ == 0; ++i) {
      if (i == 0) Do(StopRequested{Stop::kKill, "end"});
      for (std::uint32_t rank = 0; rank < alive_.size(); ++rank) {
        if (alive_[rank] == Where::kAsked) Die(rank, SIGKILL, Spawned{rank, 50});
        if (alive_[rank] == Where::kAlive) Die(rank, SIGKILL, Tick{});
      }
      if (state_.phase == Phase::kUploading) Do(UploadFinished{});
      if (state_.phase == Phase::kCleaning) Do(CleanedUp{});
      now_ = now_ + Duration(30s);
      Do(Tick{});
    }
    EXPECT_EQ(ends_, 1);
    for (int i = 0; i < 50; ++i) Do(AnyEvent());
    EXPECT_EQ(ends_, 1);
  }

 private:
  enum class Where { kNowhere, kAsked, kAlive, kDead };

  std::uint32_t Below(std::uint32_t bound) {
    return std::uniform_int_distribution<std::uint32_t>(0, bound - 1)(random_);
  }

  void Die(std::uint32_t rank, int status, const Event& before) {
    Do(before);
    alive_[rank] = Where::kDead;
    Do(RankExited{rank, status, 0});
  }

  enginelink::ToWorker AnyMessage(std::uint32_t rank) {
    switch (Below(9)) {
      case 0:
      case 1:
      case 2:
        return enginelink::Ready{.rank = rank};
      case 3:
        return enginelink::Beat{
            .rank = rank, .step = Below(50), .collective = Below(90), .phase = "reduce"};
      case 4:
        return enginelink::Progress{.step = Below(50)};
      case 5:
        return enginelink::Checkpoint{.step = Below(50)};
      case 6:
        return enginelink::Done{.outcome = Below(2) == 0 ? enginelink::Done::Outcome::kSucceeded
                                                         : enginelink::Done::Outcome::kReleased};
      case 7:
        return Below(4) != 0 ? enginelink::ToWorker(enginelink::Warning{"w"})
                             : enginelink::Failed{
                                   .rank = rank, .reason = "numeric", .consequence = Below(2) == 0};
      default:
        return enginelink::Eval{.step = Below(50)};
    }
  }

  // Of a real world: only asked ranks are born and only living ones speak and die.
  Event AnyEvent() {
    const auto rank = Below(static_cast<std::uint32_t>(alive_.size()));
    if (alive_[rank] == Where::kAsked && Below(3) != 0) {
      if (Below(20) == 0) {
        alive_[rank] = Where::kDead;
        return SpawnFailed{rank, "cannot fork"};
      }
      alive_[rank] = Where::kAlive;
      return Spawned{rank, 50};
    }
    const std::uint32_t pick = Below(100);
    if (alive_[rank] == Where::kAlive && pick < 60) return FromRank{rank, AnyMessage(rank)};
    if (alive_[rank] == Where::kAlive && pick < 68) {
      alive_[rank] = Where::kDead;
      return RankExited{rank, Below(2) == 0 ? 0 : static_cast<std::int32_t>(Below(65536)), 1};
    }
    if (pick < 78) return state_.phase == Phase::kFetching ? Event(InputsReady{}) : Event(Tick{});
    if (pick < 79) return InputsFailed{spec::FailureReason::kDiskFull, "full"};
    if (pick < 81) return UploadFinished{};
    if (pick < 82) return UploadFailed{spec::FailureReason::kDiskFull, "full"};
    if (pick < 83) return StopRequested{Below(2) == 0 ? Stop::kCheckpoint : Stop::kKill, "stop"};
    if (pick < 84) return MemoryExceeded{.rank = {}, .message = "memory"};
    if (pick < 85) return MemoryExceeded{.rank = rank, .message = "memory"};
    if (pick < 86) return Below(2) == 0 ? Event(MpiAborted{rank, 1}) : CheckpointRequested{};
    if (pick < 88 && state_.phase == Phase::kCleaning) return CleanedUp{};
    if (pick < 90) return RankProbed{rank, pick == 88};
    return Tick{};
  }

  void Do(const Event& event) {
    for (const Action& action : Step(state_, event, now_)) {
      ASSERT_EQ(ends_, 0) << "an action after the end";
      if (std::holds_alternative<SpawnRanks>(action)) {
        for (Where& where : alive_) where = Where::kAsked;
      }
      if (std::holds_alternative<CleanUp>(action) || std::holds_alternative<UploadExport>(action)) {
        for (const Where where : alive_) EXPECT_NE(where, Where::kAlive);
      }
      if (const auto* ended = std::get_if<ReportEnded>(&action)) {
        ++ends_;
        EXPECT_EQ(ended->outcome == Outcome::kFailed, ended->reason.has_value());
        for (const Where where : alive_) EXPECT_NE(where, Where::kAlive);
      }
    }
    CheckInvariants(state_);
  }

  std::mt19937_64 random_;
  Instant now_;
  State state_;
  std::vector<Where> alive_;
  int ends_ = 0;
};

TEST(Lives, EveryLifeEndsOnceAndLeavesNobody) {
  for (std::uint64_t seed = 0; seed < 20000; ++seed) {
    SCOPED_TRACE(seed);
    RandomLife(seed).Run();
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace tutti::attempt
