#include "scheduler/coordinator/job_news.h"

#include <gtest/gtest.h>

namespace tutti::coordinator {
namespace {

template <typename Fact>
Fact Of(std::uint64_t job = 1) {
  Fact fact;
  fact.job = JobId(job);
  return fact;
}

std::string StateIn(const std::vector<core::Fact>& facts) {
  const auto news = NewsOf(facts);
  return news ? std::string(spec::ToString(news->state)) : "";
}

TEST(JobNewsTest, FactsSayTheStateThatAJobComesInto) {
  EXPECT_EQ(StateIn({Of<core::JobSubmitted>()}), "validating");
  EXPECT_EQ(StateIn({Of<core::JobAdmitted>()}), "queued");
  EXPECT_EQ(StateIn({Of<core::GangPlaced>()}), "starting");
  EXPECT_EQ(StateIn({Of<core::GangStarted>()}), "running");
  auto stop = Of<core::StopRequested>();
  stop.why = core::StopWhy::kResize;
  EXPECT_EQ(StateIn({stop}), "resizing");
  EXPECT_EQ(StateIn({Of<core::JobSucceeded>()}), "succeeded");
  EXPECT_EQ(StateIn({Of<core::JobCancelled>()}), "cancelled");
  EXPECT_EQ(StateIn({Of<core::JobPaused>()}), "paused");
  EXPECT_EQ(StateIn({Of<core::JobResumed>()}), "queued");
  EXPECT_EQ(StateIn({Of<core::CheckpointCommitted>()}), "");
  EXPECT_EQ(StateIn({core::NodeLost()}), "");
}

TEST(JobNewsTest, AFailureSaysWhy) {
  auto rejected = Of<core::JobRejected>();
  rejected.reason = spec::FailureReason::kData;
  rejected.message = "no label";
  rejected.where = "rows.jsonl:7";
  const auto news = NewsOf(std::vector<core::Fact>{rejected});
  ASSERT_TRUE(news);
  EXPECT_EQ(news->state, spec::JobState::kFailed);
  EXPECT_EQ(news->reason, "data");
  EXPECT_EQ(news->message, "rows.jsonl:7: no label");
}

TEST(JobNewsTest, AStateThatAJobOnlyPassesThroughIsNoNews) {
  const core::Fact attempt = Of<core::AttemptFailed>();
  EXPECT_EQ(StateIn({attempt, Of<core::JobFailed>()}), "");
  EXPECT_EQ(StateIn({Of<core::GangReleased>(), Of<core::JobPaused>()}), "");
  EXPECT_EQ(StateIn({attempt, Of<core::JobFailed>(2)}), "recovering");
  EXPECT_EQ(StateIn({attempt, Of<core::GangPlaced>()}), "recovering");
  EXPECT_EQ(StateIn({attempt}), "recovering");
}

}  // namespace
}  // namespace tutti::coordinator
