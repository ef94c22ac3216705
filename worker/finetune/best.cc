#include "worker/finetune/best.h"

#include <cmath>

#include "jobs/spec/names.h"

namespace tutti::finetune {

BestRule BestRule::Of(const spec::TrainingSpec& training) {
  BestRule rule{.metric = training.metric_for_best_model.value_or("loss"),
                .patience = training.early_stopping_patience};
  // Transformers accepts the names of its own log too.
  if (rule.metric.starts_with("eval_")) rule.metric.erase(0, 5);
  rule.greater_is_better = training.greater_is_better.value_or(spec::GreaterIsBetter(rule.metric));
  return rule;
}

bool BestRule::Observe(std::int64_t step, const train::Metrics& metrics,
                       checkpoint::Cursor& cursor) const {
  const auto found = metrics.find(metric);
  const bool usable = found != metrics.end() && std::isfinite(found->second);
  const bool better =
      usable && (cursor.best_step < 0 || (greater_is_better ? found->second > cursor.best_metric
                                                            : found->second < cursor.best_metric));
  if (better) {
    cursor.best_step = step;
    cursor.best_metric = found->second;
    cursor.evals_without_gain = 0;
  } else {
    ++cursor.evals_without_gain;
  }
  return better;
}

}  // namespace tutti::finetune
