// Calibration: how good the scheduler's predictions were. What it says of a job's start when the
// job is admitted, and of an attempt's end when its gang has started, is held against what happens.
//
// Of the loop's thread.
#pragma once

#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "monitoring/metrics/metrics.h"
#include "scheduler/core/predict.h"

namespace tutti::coordinator {

class Calibration {
 public:
  // `metrics` outlives it.
  explicit Calibration(metrics::ControlMetrics& metrics);

  // What was just stored, and the state after it.
  void OnStored(std::span<const core::Fact> facts, const core::State& state, Instant now);

 private:
  struct Reader;
  struct Prediction {
    Instant made;
    core::Span span;
  };
  using Predictions = std::map<JobId, Prediction>;
  void CameTrue(Predictions& predictions, JobId job, std::string_view what, Instant now);
  void PredictStartsOf(const std::vector<JobId>& admitted, const core::State& state, Instant now);
  void Forget(JobId job);

  metrics::ControlMetrics& metrics_;
  Predictions starts_;  // of jobs that wait for their first
  Predictions ends_;    // of gangs
};

}  // namespace tutti::coordinator
