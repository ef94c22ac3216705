#include "scheduler/coordinator/inspection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "scheduler/coordinator/job_request.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

spec::JobSpec Spec() {
  spec::JobSpec job;
  job.name = "sections";
  job.model = "./models/bert-tiny/";
  job.data.train = "data/rows.jsonl";
  job.inputs.model = {{"config.json", "sha256:1", 5}, {"sub/vocab.txt", "sha256:2", 6}};
  job.inputs.train = spec::InputFile{"data/rows.jsonl", "sha256:3", 7};
  return job;
}

TEST(InspectCall, PlacesBlobsByRoleAndNamesThemRelative) {
  spec::JobSpec job = Spec();
  job.data.eval = "eval.jsonl";
  job.inputs.eval = spec::InputFile{"eval.jsonl", "sha256:4", 8};
  const ToolCall call = InspectCall(job);
  EXPECT_EQ(call.request["model_dir"], "model");
  EXPECT_EQ(call.request["train_path"], "train/rows.jsonl");
  EXPECT_EQ(call.request["eval_path"], "eval/eval.jsonl");
  EXPECT_THAT(call.files,
              testing::ElementsAre(core::ModelFile{"model/config.json", "sha256:1", 5},
                                   core::ModelFile{"model/sub/vocab.txt", "sha256:2", 6},
                                   core::ModelFile{"train/rows.jsonl", "sha256:3", 7},
                                   core::ModelFile{"eval/eval.jsonl", "sha256:4", 8}));
}

TEST(InspectCall, InputsInPlaceAreAbsolutePaths) {
  spec::JobSpec job = Spec();
  job.model = "file:///models/bert";
  job.data.train = "file:///data/rows.jsonl";
  job.inputs = {};
  const ToolCall call = InspectCall(job);
  EXPECT_EQ(call.request["model_dir"], "/models/bert");
  EXPECT_EQ(call.request["train_path"], "/data/rows.jsonl");
  EXPECT_TRUE(call.files.empty());
}

TEST(ReadInspection, AnAnswerAdmitsWithEstimateAndWarnings) {
  const json answer = {{"estimate", {{"rows", 8}, {"total_steps", 40}, {"disk_bytes", -1}}},
                       {"warnings", {"a", 7, "b"}}};
  const core::InspectFinished input = ReadInspection(JobId(1), answer);
  EXPECT_EQ(input.outcome, core::InspectOutcome::kAdmitted);
  EXPECT_EQ(input.estimate.rows, 8U);
  EXPECT_EQ(input.estimate.total_steps, 40U);
  EXPECT_EQ(input.estimate.disk_bytes, 0U);
  EXPECT_THAT(input.estimate.warnings, testing::ElementsAre("a", "b"));
}

TEST(ReadInspection, TheInputsFaultRejectsAndTheWorkersDoesNot) {
  const auto outcome = [](ErrorCode code) {
    return ReadInspection(JobId(1), Fail(code, "m", "rows.jsonl:2")).outcome;
  };
  EXPECT_EQ(outcome(ErrorCode::kInvalid), core::InspectOutcome::kRejected);
  EXPECT_EQ(outcome(ErrorCode::kUnsupported), core::InspectOutcome::kRejected);
  EXPECT_EQ(outcome(ErrorCode::kInternal), core::InspectOutcome::kUnavailable);
  EXPECT_EQ(outcome(ErrorCode::kTimeout), core::InspectOutcome::kUnavailable);
  EXPECT_EQ(outcome(ErrorCode::kDiskFull), core::InspectOutcome::kUnavailable);
}

TEST(RequestOf, TakesWhatTheSchedulerNeeds) {
  spec::JobSpec job = Spec();
  job.resources.ranks_min = 1;
  job.resources.ranks_max = 4;
  job.training.shards = 4;
  job.resources.memory_per_rank = Bytes{1 << 30};
  job.schedule.max_duration = std::chrono::hours(6);
  job.retry.on = {spec::RetryOn::kHang, spec::RetryOn::kOom};
  const core::JobRequest request = RequestOf(job, "local");
  EXPECT_EQ(request.name, "sections");
  EXPECT_EQ(request.task, "text-classification");
  EXPECT_EQ(request.model_base, "bert-tiny");
  EXPECT_EQ(request.ranks_max, 4U);
  EXPECT_EQ(request.memory_bytes_per_rank, std::uint64_t{1} << 30);
  EXPECT_EQ(request.max_duration_ms, 6U * 3600 * 1000);
  EXPECT_THAT(request.retry_on,
              testing::ElementsAre(spec::FailureReason::kHang, spec::FailureReason::kOom));
}

TEST(BaseOf, IsTheLastPartOfAPathOrName) {
  EXPECT_EQ(BaseOf("./models/bert-tiny/"), "bert-tiny");
  EXPECT_EQ(BaseOf("org/name@main"), "name@main");
  EXPECT_EQ(BaseOf("ft:bert:local:x:0k3v9x2m"), "ft:bert:local:x:0k3v9x2m");
  EXPECT_EQ(BaseOf("/"), "/");
}

}  // namespace
}  // namespace tutti::coordinator
