#include "worker/train/loss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "worker/model/random.h"

namespace tutti::train {
namespace {

using model::kIgnoreLabel;
using Floats = std::vector<float>;

Floats DrawNormal(std::uint64_t seed, std::size_t count) {
  Floats values(count);
  model::FillNormal(seed, 2, values);
  return values;
}

// `sum` of logits is a loss and fills the gradient: beside central differences.
void ExpectGradient(std::int64_t columns, std::size_t count,
                    const std::function<double(const Logits&)>& sum) {
  Floats values = DrawNormal(1, count), grad(count, 99.0F);
  constexpr double kScale = 0.25;
  sum({.values = values, .columns = columns, .grad = grad, .scale = kScale});
  for (std::size_t i = 0; i < count; ++i) {
    const float was = values[i];
    constexpr float kStep = 1.0F / 1024;
    values[i] = was + kStep;
    const double above = sum({.values = values, .columns = columns});
    values[i] = was - kStep;
    const double below = sum({.values = values, .columns = columns});
    values[i] = was;
    const double slope = (above - below) / (2 * static_cast<double>(kStep));
    EXPECT_NEAR(static_cast<double>(grad[i]), kScale * slope, 1e-4) << i;
  }
}

TEST(Loss, GradientsAreScaledSlopesOfTheSum) {
  const std::vector<std::int64_t> labels = {2, kIgnoreLabel, 0, 1};
  const Floats targets = DrawNormal(2, 12), weights = {1.0F, 3.0F, 0.5F, 0.0F};
  ExpectGradient(3, 12, [&](const Logits& x) { return CrossEntropySum(x, labels); });
  ExpectGradient(3, 12, [&](const Logits& x) {
    return CrossEntropySum(x, labels, {.label_smoothing = 0.2, .weights = weights});
  });
  ExpectGradient(3, 12, [&](const Logits& x) { return BinaryCrossEntropySum(x, targets); });
  ExpectGradient(3, 12, [&](const Logits& x) { return SquaredErrorSum(x, targets); });
}

TEST(Loss, IgnoredLabelsAddNothing) {
  const Floats values = DrawNormal(1, 6);
  Floats grad(6, 5.0F);
  const std::vector<std::int64_t> none = {kIgnoreLabel, kIgnoreLabel};
  EXPECT_EQ(CrossEntropySum({.values = values, .columns = 3, .grad = grad}, none), 0);
  EXPECT_EQ(grad, Floats(6, 0.0F));
  EXPECT_EQ(CountItems(none), 0);
  EXPECT_EQ(CountItems(std::vector<std::int64_t>{0, kIgnoreLabel, 2}), 2);
}

TEST(Loss, SumsOfPartsAreTheSumOfAll) {
  const Floats values = DrawNormal(1, 20);
  const std::vector<std::int64_t> labels = {0, 3, kIgnoreLabel, 4};
  const std::span<const float> all = values;
  const std::span<const std::int64_t> targets = labels;
  const double whole = CrossEntropySum({.values = all, .columns = 5}, targets);
  const double parts =
      CrossEntropySum({.values = all.first(5), .columns = 5}, targets.first(1)) +
      CrossEntropySum({.values = all.subspan(5), .columns = 5}, targets.subspan(1));
  EXPECT_NEAR(parts, whole, 1e-12);
}

TEST(Loss, LargeLogitsDoNotOverflow) {
  const Floats values = {1000.0F, -1000.0F, 0.0F};
  const std::vector<std::int64_t> wrong = {1};
  EXPECT_NEAR(CrossEntropySum({.values = values, .columns = 3}, wrong), 2000, 1e-6);
  const Floats targets = {0.0F, 1.0F, 0.5F};
  EXPECT_NEAR(BinaryCrossEntropySum({.values = values, .columns = 3}, targets),
              (1000 + 1000 + std::log(2.0)) / 3, 1e-6);
}

TEST(Loss, TheProblemChoosesTheLossAndItsItems) {
  const Floats values = DrawNormal(1, 6);
  const model::Batch single{.rows = 2, .labels = {1, kIgnoreLabel}};
  const model::Batch multi{.rows = 2, .targets = {0, 1, 0, 1, 1, 0}};
  const Logits logits{.values = values, .columns = 3};
  using model::Problem;
  EXPECT_EQ(ProblemSum(Problem::kSingleLabel, logits, single),
            CrossEntropySum(logits, single.labels));
  EXPECT_EQ(ProblemSum(Problem::kMultiLabel, logits, multi),
            BinaryCrossEntropySum(logits, multi.targets));
  EXPECT_EQ(ProblemSum(Problem::kRegression, logits, multi),
            SquaredErrorSum(logits, multi.targets));
  EXPECT_EQ(ProblemItems(Problem::kSingleLabel, single), 1);
  EXPECT_EQ(ProblemItems(Problem::kMultiLabel, multi), 2);
}

}  // namespace
}  // namespace tutti::train
