#include "jobs/cli/follow_state.h"

#include <gmock/gmock.h>

namespace tutti::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json Job(const std::string& state) {
  return {{"id", "j-00000001"},
          {"name", "sections"},
          {"task", "text-classification"},
          {"state", state},
          {"reason", nullptr},
          {"message", nullptr},
          {"submitted_at", "2026-02-03T04:05:06.000Z"},
          {"since", "2026-02-03T04:05:48.000Z"},
          {"attempts", json::array()},
          {"progress", nullptr},
          {"result", nullptr}};
}

TEST(FollowState, ProgressMovesTheBarAndPrintsNothing) {
  FollowState state;
  EXPECT_EQ(state.TakeEvent({{"type", "progress"},
                             {"step", 5},
                             {"total_steps", 10},
                             {"loss", 1.5},
                             {"rows_per_second", 99.0},
                             {"eta_seconds", 3.0}}),
            std::nullopt);
  EXPECT_EQ(state.progress().step, 5);
  EXPECT_EQ(state.progress().total_steps, 10);
  EXPECT_EQ(state.progress().rows_per_second, 99.0);
  EXPECT_EQ(state.progress().state, "running");
}

TEST(FollowState, AnEvaluationStaysOnTheBar) {
  FollowState state;
  const auto line = state.TakeEvent({{"type", "eval"},
                                     {"step", 20},
                                     {"metrics", {{"accuracy", 0.5}, {"loss", 1.0}}},
                                     {"best", true}});
  EXPECT_EQ(line, "evaluation at step 20: accuracy 0.5, loss 1 (best)");
  EXPECT_EQ(state.progress().eval_name, "accuracy");
  EXPECT_EQ(state.progress().eval_value, 0.5);
}

TEST(FollowState, WaitingSaysTheQueuesReason) {
  FollowState state;
  json job = Job("queued");
  job["reason"] = "resources";
  job["message"] = "needs 4 slots, 2 are free";
  state.TakeJob(job, WallTime{1'770'091'550'000});
  EXPECT_EQ(state.WaitingText(), "queued: resources: needs 4 slots, 2 are free");
  state.TakeEvent({{"type", "started"}, {"attempt", 1}});
  EXPECT_EQ(state.WaitingText(), "");
}

TEST(FollowState, AFailedAttemptGoesBackToItsStep) {
  FollowState state;
  state.TakeEvent({{"type", "progress"}, {"step", 9}, {"total_steps", 10}, {"eta_seconds", 1.0}});
  const auto line = state.TakeEvent({{"type", "attempt_failed"},
                                     {"attempt", 1},
                                     {"reason", "crash"},
                                     {"message", "rank 1 was killed"},
                                     {"step", 5}});
  EXPECT_EQ(line, "attempt 1 failed at step 5: crash: rank 1 was killed");
  EXPECT_EQ(state.progress().step, 5);
  EXPECT_EQ(state.progress().eta_seconds, std::nullopt);
  EXPECT_FALSE(state.finished());
}

TEST(FollowState, EachEndIsFinal) {
  for (const char* type : {"succeeded", "failed", "cancelled", "rejected"}) {
    FollowState state;
    state.TakeEvent({{"type", type}});
    EXPECT_TRUE(state.finished()) << type;
  }
  FollowState state;
  state.TakeJob(Job("cancelled"), WallTime{});
  EXPECT_TRUE(state.finished());
}

TEST(FollowState, AnOldPictureDoesNotMoveTheBarBack) {
  FollowState state;
  state.TakeEvent({{"type", "progress"}, {"step", 9}, {"total_steps", 10}});
  json job = Job("running");
  job["progress"] = {{"step", 7}, {"total_steps", 10}};
  state.TakeJob(job, WallTime{});
  EXPECT_EQ(state.progress().step, 9);
}

TEST(Summary, OfSuccessHasTheModelAndTheNextCommands) {
  FollowState state;
  json job = Job("succeeded");
  job["result"] = {{"model", "ft:bert:sections"},
                   {"path", "/data/models/j-00000001"},
                   {"digest", "sha256:ab"},
                   {"metrics", {{"accuracy", 0.731}}}};
  state.TakeJob(job, WallTime{});
  const std::string text = state.Summary(false);
  EXPECT_THAT(text, HasSubstr("sections succeeded after 42 s"));
  EXPECT_THAT(text, HasSubstr("/data/models/j-00000001"));
  EXPECT_THAT(text, HasSubstr("accuracy 0.731"));
  EXPECT_THAT(text, HasSubstr("tutti model try sections"));
}

TEST(Summary, OfFailureHasTheReasonAndWhereToLook) {
  FollowState state;
  json job = Job("failed");
  job["reason"] = "oom";
  job["message"] = "rank 0 needed more than 4 GiB";
  job["attempts"].push_back({{"attempt", 1}});
  state.TakeJob(job, WallTime{});
  const std::string text = state.Summary(false);
  EXPECT_THAT(text, HasSubstr("sections failed after 42 s: oom"));
  EXPECT_THAT(text, HasSubstr("rank 0 needed more than 4 GiB"));
  EXPECT_THAT(text, HasSubstr("tutti logs j-00000001"));
}

}  // namespace
}  // namespace tutti::cli
