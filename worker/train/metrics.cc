#include "worker/train/metrics.h"

#include <algorithm>

#include "common/base/check.h"

namespace tutti::train {

ClassCounts::ClassCounts(std::int64_t classes)
    : right(static_cast<std::size_t>(classes)),
      labelled(static_cast<std::size_t>(classes)),
      predicted(static_cast<std::size_t>(classes)) {}

void ClassCounts::Add(std::span<const std::int64_t> labels,
                      std::span<const std::int64_t> predictions) {
  TUTTI_CHECK(labels.size() == predictions.size(), labels.size(), " labels, ", predictions.size(),
              " predictions");
  const auto classes = static_cast<std::int64_t>(right.size());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    TUTTI_CHECK(predictions[i] >= 0 && predictions[i] < classes, "prediction ", predictions[i]);
    ++rows;
    ++predicted[static_cast<std::size_t>(predictions[i])];
    if (labels[i] < 0 || labels[i] >= classes) continue;
    const auto label = static_cast<std::size_t>(labels[i]);
    ++labelled[label];
    if (labels[i] == predictions[i]) ++right[label];
  }
}

void ClassCounts::Merge(const ClassCounts& other) {
  TUTTI_CHECK(right.size() == other.right.size(), "counts of different classes");
  rows += other.rows;
  for (std::size_t i = 0; i < right.size(); ++i) {
    right[i] += other.right[i];
    labelled[i] += other.labelled[i];
    predicted[i] += other.predicted[i];
  }
}

double Accuracy(const ClassCounts& counts) {
  std::int64_t right = 0;
  for (const std::int64_t count : counts.right) right += count;
  return counts.rows == 0 ? 0 : static_cast<double>(right) / static_cast<double>(counts.rows);
}

double MacroF1(const ClassCounts& counts) {
  double sum = 0;
  int classes = 0;
  for (std::size_t i = 0; i < counts.right.size(); ++i) {
    const std::int64_t occurs = counts.labelled[i] + counts.predicted[i];
    if (occurs == 0) continue;
    ++classes;
    sum += 2 * static_cast<double>(counts.right[i]) / static_cast<double>(occurs);
  }
  return classes == 0 ? 0 : sum / classes;
}

std::vector<std::int64_t> LargestColumns(std::span<const float> logits, std::int64_t columns) {
  const auto V = static_cast<std::size_t>(columns);
  TUTTI_CHECK(V > 0 && logits.size() % V == 0, "logits are not [N, V]");
  std::vector<std::int64_t> largest;
  for (std::size_t at = 0; at < logits.size(); at += V) {
    const auto row = logits.subspan(at, V);
    largest.push_back(std::ranges::max_element(row) - row.begin());
  }
  return largest;
}

}  // namespace tutti::train
