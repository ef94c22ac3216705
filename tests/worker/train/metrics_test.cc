#include "worker/train/metrics.h"

#include <gtest/gtest.h>

#include <vector>

namespace tutti::train {
namespace {

using Ids = std::vector<std::int64_t>;

TEST(ClassCounts, AccuracyAndMacroF1FollowTheirDefinitions) {
  ClassCounts counts(4);  // class 3 never occurs: it is not averaged
  counts.Add(Ids{0, 0, 1, 1, 2}, Ids{0, 1, 1, 1, 0});
  EXPECT_DOUBLE_EQ(Accuracy(counts), 3.0 / 5);
  EXPECT_DOUBLE_EQ(MacroF1(counts), (2.0 / 4 + 4.0 / 5 + 0) / 3);
}

TEST(ClassCounts, NoRowsScoreZero) {
  const ClassCounts counts(3);
  EXPECT_EQ(Accuracy(counts), 0);
  EXPECT_EQ(MacroF1(counts), 0);
}

TEST(ClassCounts, ALabelThatIsNoClassIsNeverRight) {
  ClassCounts counts(2);
  counts.Add(Ids{0, -100}, Ids{0, 1});
  EXPECT_DOUBLE_EQ(Accuracy(counts), 0.5);
  EXPECT_DOUBLE_EQ(MacroF1(counts), 0.5);  // class 1 was predicted, wrongly
}

TEST(ClassCounts, PartsMergeInAnyOrder) {
  const Ids labels = {0, 1, 2, 2, 1}, predictions = {0, 2, 2, 1, 1};
  ClassCounts whole(3), left(3), right(3);
  whole.Add(labels, predictions);
  const std::span<const std::int64_t> l = labels, p = predictions;
  right.Add(l.subspan(2), p.subspan(2));
  left.Add(l.first(2), p.first(2));
  right.Merge(left);
  EXPECT_EQ(right.rows, whole.rows);
  EXPECT_EQ(right.right, whole.right);
  EXPECT_EQ(right.labelled, whole.labelled);
  EXPECT_EQ(right.predicted, whole.predicted);
}

TEST(LargestColumns, TheFirstOfEqualsWins) {
  const std::vector<float> logits = {1, 3, 2, 5, 5, -1, -3, -2, -2};
  EXPECT_EQ(LargestColumns(logits, 3), (Ids{1, 0, 1}));
}

}  // namespace
}  // namespace tutti::train
