#include "worker/finetune/best.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tutti::finetune {
namespace {

TEST(BestRule, GoesByLossUnlessTheSpecSaysElse) {
  spec::TrainingSpec training;
  EXPECT_EQ(BestRule::Of(training).metric, "loss");
  EXPECT_FALSE(BestRule::Of(training).greater_is_better);
  training.metric_for_best_model = "eval_accuracy";
  EXPECT_EQ(BestRule::Of(training).metric, "accuracy");
  EXPECT_TRUE(BestRule::Of(training).greater_is_better);
  training.greater_is_better = false;
  EXPECT_FALSE(BestRule::Of(training).greater_is_better);
}

TEST(BestRule, CountsEvaluationsWithoutGain) {
  const BestRule rule{.metric = "accuracy", .greater_is_better = true, .patience = 2};
  checkpoint::Cursor cursor;
  EXPECT_TRUE(rule.Observe(10, {{"accuracy", 0.5}}, cursor));
  EXPECT_FALSE(rule.Observe(20, {{"accuracy", 0.5}}, cursor));  // as good is no gain
  EXPECT_FALSE(rule.ShouldStop(cursor));
  EXPECT_TRUE(rule.Observe(30, {{"accuracy", 0.6}}, cursor));
  EXPECT_EQ(cursor.best_step, 30);
  EXPECT_EQ(cursor.best_metric, 0.6);
  EXPECT_FALSE(rule.Observe(40, {{"accuracy", 0.1}}, cursor));
  EXPECT_FALSE(rule.Observe(50, {{"accuracy", std::nan("")}}, cursor));
  EXPECT_TRUE(rule.ShouldStop(cursor));
  EXPECT_EQ(cursor.best_step, 30);
}

TEST(BestRule, WithoutPatienceItNeverStops) {
  const BestRule rule;
  checkpoint::Cursor cursor;
  for (int step = 1; step < 100; ++step) rule.Observe(step, {{"loss", 1.0}}, cursor);
  EXPECT_FALSE(rule.ShouldStop(cursor));
}

}  // namespace
}  // namespace tutti::finetune
