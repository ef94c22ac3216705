#include "worker/train/loss.h"

#include <algorithm>
#include <cmath>

#include "common/base/check.h"

namespace tutti::train {
namespace {

std::size_t Rows(const Logits& logits) {
  TUTTI_CHECK(logits.columns > 0, "logits have no columns");
  const auto V = static_cast<std::size_t>(logits.columns);
  TUTTI_CHECK(logits.values.size() % V == 0, "logits are not [N, V]");
  TUTTI_CHECK(logits.grad.empty() || logits.grad.size() == logits.values.size(),
              "grad is not [N, V]");
  return logits.values.size() / V;
}

}  // namespace

double CrossEntropySum(const Logits& logits, std::span<const std::int64_t> targets,
                       const CrossEntropyOptions& options) {
  const std::size_t rows = Rows(logits);
  const auto V = static_cast<std::size_t>(logits.columns);
  TUTTI_CHECK(targets.size() == rows, rows, " rows of logits, ", targets.size(), " targets");
  const double epsilon = options.label_smoothing;
  double sum = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    const auto x = logits.values.subspan(row * V, V);
    if (targets[row] == model::kIgnoreLabel) {
      if (!logits.grad.empty()) std::ranges::fill(logits.grad.subspan(row * V, V), 0.0F);
      continue;
    }
    TUTTI_CHECK(targets[row] >= 0 && targets[row] < logits.columns, "label ", targets[row]);
    const auto target = static_cast<std::size_t>(targets[row]);
    const double weight = options.weights.empty() ? 1.0 : static_cast<double>(options.weights[row]);
    const auto top = static_cast<double>(*std::ranges::max_element(x));
    double exponentials = 0, total = 0;
    for (const float value : x) {
      exponentials += std::exp(static_cast<double>(value) - top);
      total += static_cast<double>(value);
    }
    const double log_sum = top + std::log(exponentials);
    const double nll = log_sum - static_cast<double>(x[target]);
    const double smooth = log_sum - total / static_cast<double>(V);
    sum += weight * ((1 - epsilon) * nll + epsilon * smooth);
    if (logits.grad.empty()) continue;
    const double scale = weight * logits.scale;
    const double uniform = epsilon / static_cast<double>(V);
    for (std::size_t i = 0; i < V; ++i) {
      const double p = std::exp(static_cast<double>(x[i]) - log_sum);
      const double wanted = (i == target ? 1 - epsilon : 0) + uniform;
      logits.grad[row * V + i] = static_cast<float>(scale * (p - wanted));
    }
  }
  return sum;
}

double BinaryCrossEntropySum(const Logits& logits, std::span<const float> targets) {
  Rows(logits);
  TUTTI_CHECK(targets.size() == logits.values.size(), "targets are not [N, V]");
  const double per_column = 1.0 / static_cast<double>(logits.columns);
  double sum = 0;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const auto x = static_cast<double>(logits.values[i]);
    const auto y = static_cast<double>(targets[i]);
    sum += std::max(x, 0.0) - x * y + std::log1p(std::exp(-std::fabs(x)));
    if (!logits.grad.empty()) {
      const double p = 1 / (1 + std::exp(-x));
      logits.grad[i] = static_cast<float>(logits.scale * per_column * (p - y));
    }
  }
  return sum * per_column;
}

double SquaredErrorSum(const Logits& logits, std::span<const float> targets) {
  Rows(logits);
  TUTTI_CHECK(targets.size() == logits.values.size(), "targets are not [N, V]");
  const double per_column = 1.0 / static_cast<double>(logits.columns);
  double sum = 0;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const double error = static_cast<double>(logits.values[i]) - static_cast<double>(targets[i]);
    sum += error * error;
    if (!logits.grad.empty()) {
      logits.grad[i] = static_cast<float>(logits.scale * per_column * 2 * error);
    }
  }
  return sum * per_column;
}

std::int64_t CountItems(std::span<const std::int64_t> targets) {
  return std::ranges::count_if(targets,
                               [](std::int64_t target) { return target != model::kIgnoreLabel; });
}

double ProblemSum(model::Problem problem, const Logits& logits, const model::Batch& batch,
                  const CrossEntropyOptions& options) {
  switch (problem) {
    case model::Problem::kSingleLabel:
      return CrossEntropySum(logits, batch.labels, options);
    case model::Problem::kMultiLabel:
      return BinaryCrossEntropySum(logits, batch.targets);
    case model::Problem::kRegression:
      return SquaredErrorSum(logits, batch.targets);
  }
  return 0;
}

std::int64_t ProblemItems(model::Problem problem, const model::Batch& batch) {
  return problem == model::Problem::kSingleLabel ? CountItems(batch.labels) : batch.rows;
}

}  // namespace tutti::train
