#include "worker/finetune/progress_meter.h"

#include <gtest/gtest.h>

namespace tutti::finetune {
namespace {

TEST(ProgressMeter, AveragesOverTheStepsSinceTheLastMessage) {
  ProgressMeter meter;
  train::PhaseClock clock;
  meter.Resume();
  exchange::Reduced reduced{.sums = {.loss = 8, .items = 4, .tokens = 40, .rows = 4}, .norm = 2};
  meter.Add({.learning_rate = 0.5, .reduced = reduced});
  reduced.sums.loss = 4;
  reduced.norm = 3;
  meter.Add({.learning_rate = 0.25, .reduced = reduced});
  EXPECT_EQ(meter.steps(), 2);
  const auto progress = meter.Take(
      {.step = 2, .total_steps = 10, .epoch = 0.5, .tokens_total = 80, .rows_total = 8}, clock);
  EXPECT_EQ(progress.step, 2u);
  EXPECT_EQ(progress.loss, 1.5);
  EXPECT_EQ(progress.learning_rate, 0.25);  // of the last step
  EXPECT_EQ(progress.grad_norm, 3);
  EXPECT_GT(progress.step_seconds, 0);
  EXPECT_DOUBLE_EQ(progress.eta_seconds, 8 * progress.step_seconds);
  EXPECT_NEAR(progress.tokens_per_second * 2 * progress.step_seconds, 80, 1e-6);
  EXPECT_NEAR(progress.rows_per_second * 2 * progress.step_seconds, 8, 1e-6);
  EXPECT_EQ(progress.samples_total, 8u);
  EXPECT_EQ(meter.steps(), 0);
}

TEST(ProgressMeter, TellsWhatReductionsTookSinceTheLastMessage) {
  ProgressMeter meter;
  train::PhaseClock clock;
  meter.Resume();
  EXPECT_TRUE(meter.Take({.step = 1}, clock).reduced_bytes.empty());
  const auto first = meter.Take(
      {.step = 2, .use = {.memory = {.bytes = 100, .seconds = 1}, .network = {}}}, clock);
  EXPECT_EQ(first.reduced_bytes, (std::map<std::string, double>{{"memory", 100}}));
  const auto second = meter.Take(
      {.step = 3,
       .use = {.memory = {.bytes = 150, .seconds = 1.5}, .network = {.bytes = 8, .seconds = 0.25}}},
      clock);
  EXPECT_EQ(second.reduced_bytes, (std::map<std::string, double>{{"memory", 50}, {"network", 8}}));
  EXPECT_EQ(second.reduced_seconds,
            (std::map<std::string, double>{{"memory", 0.5}, {"network", 0.25}}));
}

TEST(PhaseClock, GivesEachPhaseItsTime) {
  train::PhaseClock clock;
  clock.Enter(train::Phase::kForward);
  clock.Enter(train::Phase::kBackward);
  const auto seconds = clock.Take();
  EXPECT_TRUE(seconds.contains("forward"));
  EXPECT_TRUE(seconds.contains("backward"));
  EXPECT_FALSE(seconds.contains("export"));
  EXPECT_EQ(clock.phase(), train::Phase::kBackward);
}

}  // namespace
}  // namespace tutti::finetune
