// Losses over rows of logits: the sum over items, and the gradient of that sum times `scale`. The
// caller divides by the item count of the whole global batch (scale = 1 / that count), so that
// micro-batches, shards and ranks only ever add. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <span>

#include "worker/model/model.h"

namespace tutti::train {

// logits are [N, V]; `grad` is as large or empty (not asked for) and is overwritten.
struct Logits {
  std::span<const float> values{};
  std::int64_t columns = 0;  // V
  std::span<float> grad{};
  double scale = 1;  // of the gradient
};

struct CrossEntropyOptions {
  // ε: (1 − ε) · nll + ε · mean over the columns of −log p (Transformers' LabelSmoother).
  double label_smoothing = 0;
  std::span<const float> weights{};  // [N] of the items; empty: 1
};

// targets [N]; model::kIgnoreLabel is no item. Returns the sum in nats.
double CrossEntropySum(const Logits& logits, std::span<const std::int64_t> targets,
                       const CrossEntropyOptions& options = {});
// Binary cross entropy with logits; targets [N, V]. An item is a row: its mean over the columns.
double BinaryCrossEntropySum(const Logits& logits, std::span<const float> targets);
// Squared error; targets [N, V]. An item is a row: its mean over the columns.
double SquaredErrorSum(const Logits& logits, std::span<const float> targets);

// How many targets are not model::kIgnoreLabel.
std::int64_t CountItems(std::span<const std::int64_t> targets);

// The one of these that `problem` means, on the labels or targets of `batch`; smoothing is of
// single labels only.
double ProblemSum(model::Problem problem, const Logits& logits, const model::Batch& batch,
                  const CrossEntropyOptions& options = {});
std::int64_t ProblemItems(model::Problem problem, const model::Batch& batch);

}  // namespace tutti::train
