#include "worker/finetune/job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/finetune/small_job.h"

namespace tutti::finetune {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(PrepareJob, CountsAndLabelsOfTheData) {
  const SmallJob small("prepare");
  const auto job = PrepareJob(small.Inputs(SmallJob::Spec()));
  ASSERT_TRUE(job.has_value()) << job.error().ToString();
  EXPECT_EQ(job->train.size(), kTrainRows);
  ASSERT_TRUE(job->eval.has_value());
  EXPECT_EQ(job->eval->size(), kEvalRows);
  EXPECT_THAT(job->labels(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(job->max_length, 32);
  EXPECT_EQ(job->counts.steps_per_epoch, 4);
  EXPECT_EQ(job->counts.total_steps, 12);
  EXPECT_THAT(job->warnings, IsEmpty());
}

TEST(PrepareJob, AFractionOfTheRowsIsHeldOutForEvaluation) {
  const SmallJob small("fraction");
  spec::JobSpec spec = SmallJob::Spec();
  spec.data.eval.reset();
  spec.data.eval_fraction = 0.1;
  const auto job = PrepareJob(small.Inputs(spec));
  ASSERT_TRUE(job.has_value()) << job.error().ToString();
  EXPECT_EQ(job->eval->size(), 5);
  EXPECT_EQ(job->train.size(), 45);
  for (const std::int64_t row : job->eval->rows) {
    EXPECT_THAT(job->train.rows, testing::Not(testing::Contains(row)));
  }
  spec.data.eval_fraction = 0.99;
  const auto nothing_left = PrepareJob(small.Inputs(spec));
  ASSERT_FALSE(nothing_left.has_value());
  EXPECT_EQ(nothing_left.error().where, "data.eval");
}

TEST(PrepareJob, ALabelSeenOnlyInEvaluationIsAWarning) {
  const SmallJob small("evalonly");
  WriteText(small.eval_path(), R"({"text": "w1", "label": "a"})"
                               "\n"
                               R"({"text": "w2", "label": "z"})"
                               "\n");
  const auto job = PrepareJob(small.Inputs(SmallJob::Spec()));
  ASSERT_TRUE(job.has_value()) << job.error().ToString();
  EXPECT_THAT(job->warnings, ElementsAre(HasSubstr("'z'")));
  EXPECT_THAT(job->eval->labels, ElementsAre(0, model::kIgnoreLabel));
}

TEST(PrepareJob, LongRowsAreCutWithAWarning) {
  const SmallJob small("cut");
  spec::JobSpec spec = SmallJob::Spec();
  spec.data.max_length = 6;
  const auto job = PrepareJob(small.Inputs(spec));
  ASSERT_TRUE(job.has_value()) << job.error().ToString();
  EXPECT_EQ(job->max_length, 6);
  EXPECT_THAT(job->warnings, ElementsAre(HasSubstr("longer than 6 tokens")));
}

TEST(PrepareJob, RefusesWhatCannotBeTrained) {
  const SmallJob small("refuse");
  const auto refused = [&](const std::function<void(spec::JobSpec&)>& change) {
    spec::JobSpec spec = SmallJob::Spec();
    change(spec);
    const auto job = PrepareJob(small.Inputs(spec));
    EXPECT_FALSE(job.has_value());
    return job.has_value() ? Error{} : job.error();
  };
  Error error = refused([](auto& spec) { spec.data.max_length = 33; });
  EXPECT_EQ(error.where, "data.max_length");
  EXPECT_THAT(error.message, HasSubstr("32 positions"));
  error = refused([](auto& spec) { spec.resources.gpus_per_rank = 1; });
  EXPECT_EQ(error.where, "resources.gpus_per_rank");
  error = refused([](auto& spec) { spec.task = spec::Task::kSummarization; });
  EXPECT_THAT(error.message, HasSubstr("summarization"));
}

TEST(PrepareJob, EvaluationDataOfTheSpecMustBeThere) {
  const SmallJob small("noeval");
  JobInputs inputs = small.Inputs(SmallJob::Spec());
  inputs.eval_path.reset();
  const auto job = PrepareJob(inputs);
  ASSERT_FALSE(job.has_value());
  EXPECT_EQ(job.error().where, "data.eval");
}

TEST(PrepareJob, RowsOfOneLabelTeachNothing) {
  const SmallJob small("onelabel");
  WriteText(small.train_path(), R"({"text": "w1", "label": "a"})"
                                "\n"
                                R"({"text": "w2", "label": "a"})"
                                "\n");
  const auto job = PrepareJob(small.Inputs(SmallJob::Spec()));
  ASSERT_FALSE(job.has_value());
  EXPECT_THAT(job.error().message, HasSubstr("same label"));
  EXPECT_EQ(job.error().where, "rows.train.jsonl");
}

TEST(PrepareJob, ATokenizerOfAnotherModelIsNoticed) {
  const SmallJob small("vocabulary");
  auto config = nlohmann::json::parse(std::ifstream(small.model_dir() / "config.json"));
  config["vocab_size"] = 50;
  WriteText(small.model_dir() / "config.json", config.dump());
  const auto job = PrepareJob(small.Inputs(SmallJob::Spec()));
  ASSERT_FALSE(job.has_value());
  EXPECT_THAT(job.error().message, HasSubstr("the model has 50"));
}

TEST(ChooseLabels, AClassifierOfTheSameLabelsKeepsItsOrder) {
  model::ModelConfig config;
  config.labels = {"b", "a"};
  const data::LabelTable found{.names = {"a", "b"}};
  EXPECT_THAT(ChooseLabels(config, found).names, ElementsAre("a", "b"));  // a base has none
  config.architectures = {"BertForSequenceClassification"};
  EXPECT_THAT(ChooseLabels(config, found).names, ElementsAre("b", "a"));
  EXPECT_THAT(ChooseLabels(config, {.names = {"a", "c"}}).names, ElementsAre("a", "c"));
  EXPECT_THAT(ChooseLabels(config, {.names = {"LABEL_0", "LABEL_1"}, .integers = true}).names,
              ElementsAre("b", "a"));
}

TEST(FreshWarning, SpeaksOfWhatIsMoreThanAHead) {
  EXPECT_EQ(FreshWarning({}), "");
  EXPECT_EQ(FreshWarning({"classifier.weight", "classifier.bias"}), "");
  EXPECT_THAT(FreshWarning({"bert.pooler.dense.weight", "classifier.weight"}),
              HasSubstr("no weights for bert.pooler.dense.weight:"));
}

TEST(SpecDigest, ChangesWithWhatDecidesTheWeightsAlone) {
  const spec::JobSpec spec = SmallJob::Spec();
  spec::JobSpec same = spec;
  same.resources.ranks_max = 2;
  same.schedule.priority = 7;
  same.retry.max_attempts = 9;
  same.metadata["a"] = "b";
  EXPECT_EQ(SpecDigest(same), SpecDigest(spec));
  spec::JobSpec other = spec;
  other.training.seed = 43;
  EXPECT_NE(SpecDigest(other), SpecDigest(spec));
  other = spec;
  other.data.max_length = 16;
  EXPECT_NE(SpecDigest(other), SpecDigest(spec));
}

TEST(MakeSchedule, WarmUpStepsWinOverTheRatio) {
  spec::TrainingSpec training;
  training.learning_rate = 1;
  training.warmup_ratio = 0.5;
  auto schedule = MakeSchedule(training, 10);
  ASSERT_TRUE(schedule.has_value());
  EXPECT_DOUBLE_EQ(schedule->At(1), 0.2);
  training.warmup_steps = 2;
  schedule = MakeSchedule(training, 10);
  EXPECT_DOUBLE_EQ(schedule->At(1), 0.5);
}

TEST(MakeSchedule, TakesItsKeywordArguments) {
  spec::TrainingSpec training;
  training.learning_rate = 1;
  training.lr_scheduler_type = spec::SchedulerType::kWarmupStableDecay;
  training.lr_scheduler_kwargs = {{"num_decay_steps", 4.0}, {"min_lr_ratio", 0.5}};
  const auto schedule = MakeSchedule(training, 10);
  ASSERT_TRUE(schedule.has_value()) << schedule.error().ToString();
  EXPECT_DOUBLE_EQ(schedule->At(5), 1);
  EXPECT_NEAR(schedule->At(9), 0.5, 0.1);
}

}  // namespace
}  // namespace tutti::finetune
