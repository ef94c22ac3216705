#include "scheduler/simulate/faults.h"

#include <gtest/gtest.h>

namespace tutti::simulate {
namespace {

using namespace std::chrono_literals;

std::string Violations(const FaultReport& report) {
  std::string all;
  for (const std::string& violation : report.violations) all += violation + "\n";
  return all;
}

TEST(Faults, PromisesHoldWhateverBreaks) {
  std::uint64_t faults = 0;
  std::uint64_t succeeded = 0;
  std::uint64_t on_gpus = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const FaultReport report = RunFaults({.seed = seed, .safety = 10min});
    EXPECT_EQ(Violations(report), "");
    EXPECT_GT(report.faults, 0U);
    faults += report.faults;
    succeeded += report.succeeded;
    on_gpus += report.on_gpus;
  }
  EXPECT_GT(faults, 5000U);
  EXPECT_GT(succeeded, 100U);
  EXPECT_GT(on_gpus, 20U);
}

TEST(Faults, PromisesHoldWhereTheyWereBrokenBefore) {
  for (const std::uint64_t seed : {2741U}) {  // a launch that came after the stop of its gang
    SCOPED_TRACE("seed " + std::to_string(seed));
    EXPECT_EQ(Violations(RunFaults({.seed = seed, .gpus = false})), "");
  }
}

TEST(Faults, AGangThatStartsBeforeAHeartbeatListsItIsNotMissing) {
  EXPECT_EQ(Violations(RunFaults({.seed = 11421})), "");
}

TEST(Faults, TheSameSeedGivesTheSameHashAndAnotherOneAnother) {
  const FaultReport once = RunFaults({.seed = 7, .safety = 5min});
  const FaultReport again = RunFaults({.seed = 7, .safety = 5min});
  EXPECT_EQ(once.hash, again.hash);
  EXPECT_EQ(once.faults, again.faults);
  EXPECT_NE(once.hash, RunFaults({.seed = 8, .safety = 5min}).hash);
}

// Whether a few seeds show a bug that somebody planted.
bool IsCaught(Planted planted) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    const FaultReport report =
        RunFaults({.seed = seed, .safety = 10min, .liveness = 30min, .planted = planted});
    if (!report.violations.empty()) return true;
  }
  return false;
}

TEST(Faults, ASkippedFsyncIsCaught) { EXPECT_TRUE(IsCaught(Planted::kSkipFsync)); }
TEST(Faults, AnIgnoredAttemptIsCaught) { EXPECT_TRUE(IsCaught(Planted::kIgnoreAttempt)); }
TEST(Faults, HalfAGangIsCaught) { EXPECT_TRUE(IsCaught(Planted::kHalfGang)); }
TEST(Faults, ALostMessageIsCaught) { EXPECT_TRUE(IsCaught(Planted::kLoseMessage)); }

}  // namespace
}  // namespace tutti::simulate
