#include "worker/finetune/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/worker/finetune/trainers.h"
#include "worker/checkpoint/checkpoint.h"

namespace tutti::finetune {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::int64_t kSteps = 12;  // 3 epochs of 4

TEST(Trainer, LossFallsAndEveryStepIsTold) {
  Trainers trainers("falls");
  trainers.spec.training.num_train_epochs = 15;
  const Ended ended = trainers.Train({.size = 2});
  ASSERT_THAT(ended.statuses, Each(kFinished)) << ended.error;
  EXPECT_EQ(ended.step, 5 * kSteps);
  const auto progress = ended.All<enginelink::Progress>();
  ASSERT_THAT(progress, SizeIs(5 * kSteps));
  EXPECT_LT(progress.back().loss, 0.7 * progress.front().loss);
  EXPECT_GT(ended.metrics.at("accuracy"), 0.5);
  EXPECT_EQ(progress.back().step, 60u);
  EXPECT_EQ(progress.back().total_steps, 60u);
  EXPECT_EQ(progress.back().epoch, 15.0);
  EXPECT_EQ(progress.back().samples_total, 15u * kTrainRows);
  EXPECT_GT(progress.back().tokens_total, 15u * kTrainRows * 5);
  EXPECT_GT(progress.back().grad_norm, 0);
  EXPECT_GT(progress.back().phase_seconds.at("backward"), 0);
  const auto ready = ended.All<enginelink::Ready>();
  ASSERT_THAT(ready, SizeIs(1));
  EXPECT_EQ(ready[0].from_step, 0u);
}

TEST(Trainer, EvaluatesAndSavesWhenTheSpecSays) {
  Trainers trainers("when");
  const Ended ended = trainers.Train({});
  std::vector<std::uint64_t> evaluated;
  for (const auto& eval : ended.All<enginelink::Eval>()) evaluated.push_back(eval.step);
  EXPECT_THAT(evaluated, ElementsAre(4, 8, 12));
  std::vector<std::uint64_t> saved;
  for (const auto& [step, digest] : ended.Checkpoints()) saved.push_back(step);
  EXPECT_THAT(saved, ElementsAre(3, 6, 9, 12));
  EXPECT_EQ(ended.metrics, ended.All<enginelink::Eval>().back().metrics);
}

TEST(Trainer, WithoutStepsItEvaluatesAndSavesEachEpoch) {
  Trainers trainers("epochs");
  trainers.spec.training.eval_steps.reset();
  trainers.spec.training.save_steps.reset();
  const Ended ended = trainers.Train({});
  ASSERT_THAT(ended.All<enginelink::Eval>(), SizeIs(3));
  EXPECT_EQ(ended.All<enginelink::Eval>()[1].step, 8u);
  EXPECT_THAT(ended.Checkpoints(), SizeIs(3));
}

TEST(Trainer, AnySizeGivesTheSameBits) {
  Trainers trainers("sizes");
  const Ended one = trainers.Train({.size = 1, .name = "one"});
  ASSERT_THAT(one.statuses, Each(kFinished)) << one.error;
  for (const std::uint32_t size : {2u, 4u}) {
    const Ended other = trainers.Train({.size = size, .name = "size" + std::to_string(size)});
    ASSERT_THAT(other.statuses, Each(kFinished)) << other.error;
    EXPECT_EQ(other.weights, one.weights) << size << " ranks";
    EXPECT_EQ(other.Checkpoints(), one.Checkpoints()) << size << " ranks";
    EXPECT_EQ(other.metrics, one.metrics) << size << " ranks";
    EXPECT_EQ(other.All<enginelink::Progress>().back().loss,
              one.All<enginelink::Progress>().back().loss);
  }
}

TEST(Trainer, StoppedAndResumedAtAnotherSizeGivesTheSameBits) {
  Trainers trainers("resume");
  const Ended whole = trainers.Train({.size = 2, .name = "whole"});
  const Ended first = trainers.Train({.size = 1, .script = {.stop_in_step = 5}, .name = "parts"});
  ASSERT_THAT(first.statuses, Each(kReleased)) << first.error;
  EXPECT_EQ(first.step, 5);
  EXPECT_TRUE(first.Checkpoints().contains(5));
  const Ended second = trainers.Train(
      {.size = 4, .attempt = 2, .resume = true, .script = {.stop_in_step = 8}, .name = "parts"});
  ASSERT_THAT(second.statuses, Each(kReleased)) << second.error;
  EXPECT_EQ(second.All<enginelink::Ready>().at(0).from_step, 5u);
  const Ended third = trainers.Train({.size = 2, .attempt = 3, .resume = true, .name = "parts"});
  ASSERT_THAT(third.statuses, Each(kFinished)) << third.error;
  EXPECT_EQ(third.weights, whole.weights);
  EXPECT_EQ(third.metrics, whole.metrics);
  EXPECT_EQ(third.Checkpoints().at(12), whole.Checkpoints().at(12));
}

TEST(Trainer, AStopWithoutCheckpointWritesNone) {
  Trainers trainers("nocheckpoint");
  const Ended ended =
      trainers.Train({.size = 2, .script = {.stop_in_step = 2, .stop_checkpoint = false}});
  EXPECT_THAT(ended.statuses, Each(kReleased));
  EXPECT_THAT(ended.Checkpoints(), IsEmpty());
}

TEST(Trainer, ACheckpointAskedForIsWrittenAndTrainingGoesOn) {
  Trainers trainers("asked");
  const Ended ended = trainers.Train({.size = 2, .script = {.checkpoint_in_step = 5}});
  EXPECT_THAT(ended.statuses, Each(kFinished));
  EXPECT_TRUE(ended.Checkpoints().contains(5));
}

TEST(Trainer, AKilledRankChangesNothingInTheEnd) {
  Trainers trainers("kill");
  const Ended whole = trainers.Train({.size = 2, .name = "whole"});
  for (const std::uint32_t victim : {0u, 1u}) {
    const std::string name = "victim" + std::to_string(victim);
    const Ended killed = trainers.Train(
        {.size = 2, .script = {.kill_in_step = 8, .kill_rank = victim}, .name = name});
    EXPECT_EQ(killed.statuses.at(victim), -SIGKILL);
    EXPECT_EQ(killed.statuses.at(1 - victim), kPeerGone);
    const Ended resumed = trainers.Train({.size = 2, .attempt = 2, .resume = true, .name = name});
    ASSERT_THAT(resumed.statuses, Each(kFinished)) << resumed.error;
    EXPECT_GE(resumed.All<enginelink::Ready>().at(0).from_step, 3u);
    EXPECT_EQ(resumed.weights, whole.weights);
    EXPECT_EQ(resumed.metrics, whole.metrics);
  }
}

TEST(Trainer, ADamagedCheckpointIsPassedOver) {
  Trainers trainers("damaged");
  const Ended whole = trainers.Train({.name = "whole"});
  trainers.Train({.script = {.stop_in_step = 7}, .name = "damaged"});
  const auto found = checkpoint::List(trainers.CheckpointsOf("damaged"));
  ASSERT_TRUE(found && found->size() >= 2);
  ASSERT_EQ(found->front().step, 7);
  std::fstream file(found->front().path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(found->front().size.count / 2);
  file.put('\x55').put('\x54');
  file.close();
  const Ended resumed = trainers.Train({.attempt = 2, .resume = true, .name = "damaged"});
  ASSERT_THAT(resumed.statuses, Each(kFinished)) << resumed.error;
  EXPECT_EQ(resumed.All<enginelink::Ready>().at(0).from_step, 6u);
  ASSERT_FALSE(resumed.All<enginelink::Warning>().empty());
  EXPECT_THAT(resumed.All<enginelink::Warning>()[0].message, HasSubstr("step 7"));
  EXPECT_EQ(resumed.weights, whole.weights);
}

TEST(Trainer, AnotherSpecsCheckpointIsNotUsed) {
  Trainers trainers("otherspec");
  trainers.Train({.script = {.stop_in_step = 4}});
  trainers.spec.training.learning_rate = 1e-3;
  const Ended resumed = trainers.Train({.attempt = 2, .resume = true});
  EXPECT_EQ(resumed.All<enginelink::Ready>().at(0).from_step, 0u);
  EXPECT_FALSE(resumed.All<enginelink::Warning>().empty());
}

TEST(Trainer, ALossThatIsNotFiniteEndsTheAttemptBeforeAnyCheckpoint) {
  Trainers trainers("nan");
  trainers.spec.training.learning_rate = 1e30;
  trainers.spec.training.warmup_ratio = 0;
  for (const std::uint32_t size : {1u, 2u}) {
    const std::string name = "size" + std::to_string(size);
    const Ended ended = trainers.Train({.size = size, .name = name});
    EXPECT_THAT(ended.statuses, Each(kNotFinite)) << ended.error;
    EXPECT_THAT(ended.error, HasSubstr("step 2"));
    EXPECT_THAT(ended.error, HasSubstr("is not finite"));
    EXPECT_THAT(ended.error, HasSubstr("gradient of bert."));
    const auto found = checkpoint::List(trainers.CheckpointsOf(name));
    EXPECT_TRUE(found && found->empty());
  }
}

TEST(Trainer, StopsEarlyWhenEvaluationsGainNothing) {
  Trainers trainers("early");
  trainers.spec.training.learning_rate = 1e-30;  // nothing changes
  trainers.spec.training.eval_steps = 2;
  trainers.spec.training.early_stopping_patience = 2;
  trainers.spec.training.metric_for_best_model = "accuracy";
  const Ended ended = trainers.Train({.size = 2});
  ASSERT_THAT(ended.statuses, Each(kFinished)) << ended.error;
  EXPECT_EQ(ended.step, 6);  // the first evaluation is a gain
  EXPECT_TRUE(ended.Checkpoints().contains(6));
  // It stays ended when it is resumed.
  const Ended again = trainers.Train({.size = 1, .attempt = 2, .resume = true});
  ASSERT_THAT(again.statuses, Each(kFinished)) << again.error;
  EXPECT_EQ(again.step, 6);
  EXPECT_EQ(again.weights, ended.weights);
}

TEST(Trainer, KeepsTheBestWeightsWhenAskedTo) {
  Trainers trainers("best");
  trainers.spec.training.save_steps = 5;
  trainers.spec.training.save_total_limit = 2;
  const auto evals = trainers.Train({.name = "plain"}).All<enginelink::Eval>();
  ASSERT_THAT(evals, SizeIs(3));
  // Whichever way the loss went, take the other for better: then the last is not the best.
  const bool rose = evals[2].metrics.at("loss") > evals[0].metrics.at("loss");
  trainers.spec.training.metric_for_best_model = "loss";
  trainers.spec.training.greater_is_better = !rose;
  trainers.spec.training.load_best_model_at_end = true;
  const auto best = std::ranges::max_element(evals, {}, [&](const enginelink::Eval& eval) {
    return (rose ? -1 : 1) * eval.metrics.at("loss");
  });

  const Ended ended = trainers.Train({.size = 2});
  ASSERT_THAT(ended.statuses, Each(kFinished)) << ended.error;
  ASSERT_LT(best->step, 12u);
  EXPECT_EQ(ended.metrics, best->metrics);
  EXPECT_NE(ended.metrics, evals[2].metrics);
  // Its checkpoint was written though none was due, and outlived the limit.
  EXPECT_TRUE(ended.Checkpoints().contains(best->step));
  const auto found = checkpoint::List(trainers.CheckpointsOf("run"));
  ASSERT_TRUE(found.has_value());
  std::vector<std::int64_t> steps;
  for (const auto& one : *found) steps.push_back(one.step);
  EXPECT_THAT(steps, ElementsAre(12, 10, static_cast<std::int64_t>(best->step)));
}

TEST(Trainer, ALostBestCheckpointIsAWarningAndTheLastWeightsAreKept) {
  Trainers trainers("lostbest");
  trainers.spec.training.load_best_model_at_end = true;
  trainers.spec.training.learning_rate = 1e-30;  // no evaluation beats the first
  const Ended first = trainers.Train({.size = 2, .script = {.stop_in_step = 6}});
  ASSERT_THAT(first.statuses, Each(kReleased)) << first.error;
  for (const auto& checkpoint : first.All<enginelink::Checkpoint>()) {
    if (checkpoint.step == 4) fs::remove(checkpoint.path);
  }
  const Ended ended = trainers.Train({.size = 2, .attempt = 2, .resume = true});
  ASSERT_THAT(ended.statuses, Each(kFinished)) << ended.error;
  const auto warnings = ended.All<enginelink::Warning>();
  ASSERT_FALSE(warnings.empty());
  EXPECT_THAT(warnings.back().message, HasSubstr("the best weights, of step 4"));
  EXPECT_FALSE(ended.metrics.empty());
}

TEST(Trainer, KeepsNoMoreCheckpointsThanItsLimit) {
  Trainers trainers("limit");
  trainers.spec.training.save_steps = 1;
  trainers.spec.training.save_total_limit = 2;
  trainers.spec.data.eval.reset();
  const Ended ended = trainers.Train({});
  ASSERT_THAT(ended.statuses, Each(kFinished)) << ended.error;
  EXPECT_THAT(ended.Checkpoints(), SizeIs(kSteps));
  const auto found = checkpoint::List(trainers.CheckpointsOf("run"));
  ASSERT_TRUE(found.has_value());
  EXPECT_THAT(*found, SizeIs(2));
  EXPECT_THAT(ended.metrics, IsEmpty());
}

TEST(Trainer, EndsWhenTheWorkerIsGone) {
  Trainers trainers("gone");
  const Ended ended = trainers.Train({.size = 2, .script = {.worker_gone_in_step = 3}});
  EXPECT_THAT(ended.statuses, Each(kPeerGone));
}

TEST(Trainer, AnEvaluationSplitIsHeldOut) {
  Trainers trainers("split");
  trainers.spec.data.eval.reset();
  trainers.spec.data.eval_fraction = 0.2;
  const Ended one = trainers.Train({.size = 1, .name = "one"});
  const Ended two = trainers.Train({.size = 2, .name = "two"});
  ASSERT_THAT(one.statuses, Each(kFinished)) << one.error;
  EXPECT_EQ(one.All<enginelink::Progress>().back().samples_total, 3u * 40);
  EXPECT_EQ(one.weights, two.weights);
  EXPECT_EQ(one.metrics, two.metrics);
}

}  // namespace
}  // namespace tutti::finetune
