#include "worker/train/metrics.h"

#include <algorithm>
#include <string>

#include "worker/parity/folders.h"

namespace tutti::parity {
namespace {

constexpr Tolerance kScores{.absolute = 1e-6};

void RunClassification(const Json& row, const std::string& name, Report& report) {
  const auto labels = row.at("labels").get<std::vector<std::int64_t>>();
  const auto predictions = row.at("predictions").get<std::vector<std::int64_t>>();
  std::int64_t classes = 1;
  for (const auto* ids : {&labels, &predictions}) {
    for (const std::int64_t id : *ids) classes = std::max(classes, id + 1);
  }
  train::ClassCounts counts(classes);
  counts.Add(labels, predictions);
  const std::vector<double> got = {train::Accuracy(counts), train::MacroF1(counts)};
  const std::vector<double> want = {row.at("accuracy").get<double>(),
                                    row.at("macro_f1").get<double>()};
  report.Compare(name, got, want, kScores);
}

}  // namespace

Status RunMetrics(const Json& expected, Report& report) {
  int index = 0;
  for (const Json& row : expected.at("classification")) {
    RunClassification(row, "classification:" + std::to_string(index++), report);
  }
  for (const char* group : {"corpora", "regression", "multilabel", "perplexity"}) {
    if (expected.contains(group)) report.Case(false, group, "these scores are not supported yet");
  }
  return {};
}

}  // namespace tutti::parity
