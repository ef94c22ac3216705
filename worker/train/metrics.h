// Scores of a classifier from counts by class: counts add, so micro-batches and ranks may be
// counted apart and merged in any order. Values; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tutti::train {

// Rows whose label is no class (model::kIgnoreLabel: a label that training never saw) are rows that
// no prediction gets right.
struct ClassCounts {
  explicit ClassCounts(std::int64_t classes);

  // labels and predictions [N]; predictions are below the number of classes.
  void Add(std::span<const std::int64_t> labels, std::span<const std::int64_t> predictions);
  void Merge(const ClassCounts& other);

  std::int64_t rows = 0;
  std::vector<std::int64_t> right;      // [C] rows of this label predicted as it
  std::vector<std::int64_t> labelled;   // [C] rows of this label
  std::vector<std::int64_t> predicted;  // [C] rows predicted as it
};

// Share of rows predicted right; 0 without rows.
double Accuracy(const ClassCounts& counts);
// Mean of F1 = 2·right / (labelled + predicted) over the classes that occur among labels or
// predictions, as scikit-learn's f1_score(average="macro"); 0 without rows.
double MacroF1(const ClassCounts& counts);

// The column of the largest logit of each row; the first of equals. logits [N, V].
std::vector<std::int64_t> LargestColumns(std::span<const float> logits, std::int64_t columns);

}  // namespace tutti::train
