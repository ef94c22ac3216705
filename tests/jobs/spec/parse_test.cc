#include "jobs/spec/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/jobs/spec/spec_text.h"

namespace tutti::spec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(ParseSpec, DefaultsAreThoseOfTransformers) {
  const JobSpec job = JobOf("name: a\ntask: text-classification\nmodel: m\ndata: {train: t}\n");
  EXPECT_EQ(job.training.num_train_epochs, 3);
  EXPECT_EQ(job.training.learning_rate, 5e-5);
  EXPECT_EQ(job.training.lr_scheduler_type, SchedulerType::kLinear);
  EXPECT_EQ(job.training.adam_beta2, 0.999);
  EXPECT_EQ(job.training.seed, 42);
  EXPECT_EQ(job.training.max_steps, std::nullopt);
  EXPECT_EQ(job.training.micro_batch_size, 8);
  EXPECT_EQ(job.training.global_batch_size, 8);
  EXPECT_EQ(job.training.shards, 1);
  EXPECT_EQ(job.resources.ranks_min, 1);
  EXPECT_EQ(job.resources.ranks_max, 1);
  EXPECT_EQ(job.schedule.max_duration, std::nullopt);
  EXPECT_EQ(job.schedule.reproducible, true);
  EXPECT_EQ(job.retry.max_attempts, 3);
  EXPECT_THAT(job.retry.on, ElementsAre(RetryOn::kWorkerLost, RetryOn::kCrash, RetryOn::kHang));
  EXPECT_TRUE(std::holds_alternative<FullMethod>(job.method));
  EXPECT_EQ(job.inputs, Inputs{});
}

TEST(ParseSpec, ReadsEveryKindOfField) {
  const JobSpec job = JobOf(R"(
name: package-sections
task: text-classification
model: ./models/bert-tiny
data:
  train: file:///srv/rows.jsonl
  eval: 0.05
  format: text-label
  columns: {text: body, label: section}
  max_length: 128
training:
  max_steps: 30
  global_batch_size: 64
  micro_batch_size: 8
  shards: 4
  learning_rate: 1.0e-3
  lr_scheduler_type: cosine
  lr_scheduler_kwargs: {num_cycles: 0.5}
  label_smoothing_factor: 0.1
  load_best_model_at_end: true
  metric_for_best_model: accuracy
resources: {ranks: {min: 1, max: 4}, cpus_per_rank: 2, memory_per_rank: 4GiB}
schedule: {queue: nightly, priority: -3, preemptible: false, max_duration: 6h30m}
retry: {max_attempts: 5, on: [oom]}
metadata: {ticket: "42"}
)");
  EXPECT_EQ(job.data.train, "file:///srv/rows.jsonl");
  EXPECT_EQ(job.data.eval, std::nullopt);
  EXPECT_EQ(job.data.eval_fraction, 0.05);
  EXPECT_EQ(job.data.format, DataFormat::kTextLabel);
  EXPECT_EQ(job.data.columns.at("label"), "section");
  EXPECT_EQ(job.data.max_length, 128);
  EXPECT_EQ(job.training.max_steps, 30);
  EXPECT_EQ(job.training.global_batch_size, 64);
  EXPECT_EQ(job.training.shards, 4);
  EXPECT_EQ(job.training.learning_rate, 1e-3);
  EXPECT_EQ(std::get<double>(job.training.lr_scheduler_kwargs.at("num_cycles")), 0.5);
  EXPECT_EQ(job.training.metric_for_best_model, "accuracy");
  EXPECT_EQ(job.training.greater_is_better, true);
  EXPECT_EQ(job.resources.ranks_max, 4);
  EXPECT_EQ(job.resources.memory_per_rank, Bytes{std::int64_t{4} << 30});
  EXPECT_EQ(job.schedule.max_duration, std::chrono::minutes(390));
  EXPECT_EQ(job.schedule.priority, -3);
  EXPECT_THAT(job.retry.on, ElementsAre(RetryOn::kOom));
  EXPECT_EQ(job.metadata.at("ticket"), "42");
}

TEST(ParseSpec, ReadsTheShippedExample) {
  const JobSpec job = JobOf(FileText("jobs/examples/package-sections.yaml"));
  EXPECT_EQ(job.name, "package-sections");
  EXPECT_EQ(job.training.global_batch_size, 32);
  EXPECT_EQ(job.training.shards, 4);
  EXPECT_EQ(job.resources.ranks_max, 2);
  EXPECT_EQ(job.training.eval_steps, 94);
  EXPECT_FALSE(job.training.load_best_model_at_end);
}

TEST(ParseSpec, JsonHasTheSameFields) {
  const JobSpec yaml = JobOf(Minimal("resources: {ranks: 2}\nmetadata: {x: \"1\"}\n"));
  const JobSpec as_json = JobOf(R"( {"name": "a", "task": "text-classification", "model": "./m",
      "data": {"train": "t.jsonl", "eval": "e.jsonl"}, "resources": {"ranks": 2},
      "metadata": {"x": "1"}})");
  EXPECT_EQ(yaml, as_json);
}

TEST(ParseSpec, MaxStepsWinsWithANote) {
  const auto parsed = ParseSpec(Training("max_steps: 5, num_train_epochs: 2"));
  ASSERT_TRUE(parsed);
  EXPECT_THAT(parsed->notes, ElementsAre("max_steps 5 wins over num_train_epochs 2"));
  EXPECT_THAT(ParseSpec(Training("max_steps: 5"))->notes, IsEmpty());
}

TEST(ParseSpec, EveryProblemIsLocatedAndInReadingOrder) {
  EXPECT_EQ(ProblemsOf("name: my job!\n"
                       "task: text-clasification\n"
                       "model: ./m\n"
                       "learning_rate: 1\n"
                       "data:\n"
                       "  train: t\n"
                       "training:\n"
                       "  learning_rte: 5e-5\n"
                       "  seed: \"42\"\n"),
            "invalid spec:1:7: name must be 1-63 of A-Z a-z 0-9 . _ -, starting with a letter or "
            "digit, not 'my job!' (write my-job)\n"
            "invalid spec:2:7: task cannot be 'text-clasification' (did you mean "
            "text-classification?)\n"
            "invalid spec:4:1: unknown field 'learning_rate' (did you mean "
            "training.learning_rate?)\n"
            "invalid spec:8:3: unknown field 'learning_rte' in training (did you mean "
            "learning_rate?)\n"
            "invalid spec:9:9: training.seed must be a whole number, not text '42' (write 42)\n");
}

TEST(ParseSpec, ShowsAtMostTwentyProblems) {
  std::string text = Minimal();
  for (int i = 0; i < 100; ++i) text += "x" + std::to_string(i) + ": 1\n";
  const auto parsed = ParseSpec(text);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().size(), 20U);
}

}  // namespace
}  // namespace tutti::spec
