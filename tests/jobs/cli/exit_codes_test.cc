#include "jobs/cli/exit_codes.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace tutti::cli {
namespace {

using nlohmann::json;

TEST(ExitCodes, FollowTheErrorsCode) {
  EXPECT_EQ(ExitOf(ErrorCode::kInvalid), 3);
  EXPECT_EQ(ExitOf(ErrorCode::kUnsupported), 3);
  EXPECT_EQ(ExitOf(ErrorCode::kTooLarge), 3);
  EXPECT_EQ(ExitOf(ErrorCode::kConflict), 2);
  EXPECT_EQ(ExitOf(ErrorCode::kAuth), 4);
  EXPECT_EQ(ExitOf(ErrorCode::kNotFound), 5);
  EXPECT_EQ(ExitOf(ErrorCode::kQuota), 6);
  EXPECT_EQ(ExitOf(ErrorCode::kUnavailable), 7);
  EXPECT_EQ(ExitOf(ErrorCode::kTimeout), 8);
  EXPECT_EQ(ExitOf(ErrorCode::kInternal), 1);
}

TEST(ExitCodes, AJobsResultDecides) {
  EXPECT_EQ(ExitOfJob({{"state", "succeeded"}}), 0);
  EXPECT_EQ(ExitOfJob({{"state", "failed"}}), 1);
  EXPECT_EQ(ExitOfJob({{"state", "cancelled"}}), 1);
}

TEST(ExitCodes, DataRefusedAtAdmissionIsAValidationErrorWhenFollowed) {
  const json refused = {{"state", "failed"}, {"reason", "data"}, {"attempts", json::array()}};
  EXPECT_EQ(ExitOfFollowed(refused), 3);
  EXPECT_EQ(ExitOfJob(refused), 1);
  json ran = refused;
  ran["attempts"].push_back({{"attempt", 1}});
  EXPECT_EQ(ExitOfFollowed(ran), 1);
  EXPECT_EQ(ExitOfFollowed({{"state", "succeeded"}}), 0);
}

}  // namespace
}  // namespace tutti::cli
