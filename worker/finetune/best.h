// The best evaluation so far and how long ago it was: what load_best_model_at_end and early
// stopping go by. Kept in the checkpoint's cursor. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "jobs/spec/spec.h"
#include "worker/checkpoint/checkpoint.h"
#include "worker/train/evaluator.h"

namespace tutti::finetune {

struct BestRule {
  std::string metric = "loss";
  bool greater_is_better = false;
  std::int64_t patience = 0;  // evaluations without gain that end training; 0 = never

  static BestRule Of(const spec::TrainingSpec& training);

  // Takes an evaluation of step `step` into account; whether it is the best so far. Metrics that
  // are not finite never are.
  bool Observe(std::int64_t step, const train::Metrics& metrics, checkpoint::Cursor& cursor) const;
  bool ShouldStop(const checkpoint::Cursor& cursor) const {
    return patience > 0 && cursor.evals_without_gain >= patience;
  }
};

}  // namespace tutti::finetune
