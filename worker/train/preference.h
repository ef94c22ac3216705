// Learning from pairs of answers, one of which is preferred (Rafailov et al. 2023, "Direct
// Preference Optimization"), as TRL 1's DPOTrainer computes it. Pure functions; ScorePairs runs a
// model, on its thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/base/result.h"
#include "jobs/spec/spec.h"
#include "worker/model/model.h"

namespace tutti::train {

enum class PreferenceLoss { kSigmoid, kHinge, kIpo, kRobust, kSigmoidSmoothed };

struct PreferenceOptions {
  PreferenceLoss loss = PreferenceLoss::kSigmoid;
  double beta = 0.1;           // how close to the reference the policy stays
  double label_smoothing = 0;  // ε: the share of preferences taken for flipped; of the last two
};
// REQUIRES: spec.loss_type is one of spec::DpoLossNames().
PreferenceOptions PreferenceOf(const spec::DpoSpec& spec);

// One answer, given its prompt.
struct AnswerScore {
  double log_probability = 0;  // Σ over its tokens, nats; of the model that is trained
  double reference = 0;        // likewise of the one it started from
  double tokens = 0;

  double log_ratio() const { return log_probability - reference; }
};
struct PairScore {
  AnswerScore chosen{}, rejected{};
};

// r = log ratio, d = r(chosen) − r(rejected), n = tokens:
//   sigmoid           −log σ(β·d)
//   hinge             max(0, 1 − β·d)
//   ipo               (r(chosen)/n − r(rejected)/n − 1/(2β))²
//   robust            (−(1 − ε)·log σ(β·d) + ε·log σ(−β·d)) / (1 − 2ε)
//   sigmoid_smoothed  −(1 − ε)·log σ(β·d) − ε·log σ(−β·d)
struct PairLoss {
  double loss = 0;
  double by_chosen = 0, by_rejected = 0;          // its derivatives by the two log-probabilities
  double chosen_reward = 0, rejected_reward = 0;  // β · r
};
PairLoss LossOfPair(const PreferenceOptions& options, const PairScore& pair);

// The pairs of a micro-batch, whose documents are chosen and rejected answers by turns: first by
// the base alone, then by the model, with what BackwardTokens needs where `training`. No dropout
// acts, as in TRL. Errors are Forward's. REQUIRES: weights and base are bound.
Result<std::vector<PairScore>> ScorePairs(model::Model& model, const model::Batch& batch,
                                          bool training);

// What is added up over pairs.
struct PairSums {
  double loss = 0;
  double chosen_reward = 0, rejected_reward = 0;
  std::int64_t right = 0;  // pairs whose chosen answer has the larger reward
};
PairSums SumPairs(const PreferenceOptions& options, std::span<const PairScore> pairs);

// The summed loss of a micro-batch's pairs; its gradients times `scale` are ready for
// BackwardTokens, which is the caller's.
Result<double> LearnPairs(model::Model& model, const model::Batch& batch,
                          const PreferenceOptions& options, double scale);

}  // namespace tutti::train
