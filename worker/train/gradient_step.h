// One training step of one rank: gradients of its shards, the gang's sum, the update of its slice.
//
//   Compute(step, rows) → Reduce(control) → Update(…)
//
// Every rank calls the three in turn with the same arguments (`control` counts on rank 0). One
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "jobs/spec/spec.h"
#include "worker/model/model.h"
#include "worker/train/decay.h"
#include "worker/train/gang.h"
#include "worker/train/phase_clock.h"
#include "worker/train/preference.h"
#include "worker/train/samples.h"

namespace tutti::train {

class GradientStep {
 public:
  // Borrows all of it. Binds the model to the gang's memory.
  struct Parts {
    model::Model& model;
    const Samples& samples;
    const spec::TrainingSpec& training;
    Gang& gang;
    PhaseClock& clock;
    // How samples that are pairs are learned from.
    std::optional<PreferenceOptions> preference{};
  };
  explicit GradientStep(Parts parts);

  // Loss and gradients of this rank's shards of step `step` (from 0); `rows` are the whole global
  // batch, indices of the samples.
  Status Compute(std::int64_t step, std::span<const std::int64_t> rows);
  Result<exchange::Reduced> Reduce(std::uint64_t control);
  // AdamW on this rank's slice with the reduced gradient, clipped.
  struct UpdateOptions {
    std::int64_t step = 0;  // from 0
    double learning_rate = 0;
    double norm = 0;  // of the reduced gradient
  };
  Status Update(const UpdateOptions& options);

  // After a Reduce that was not finite: the first parameter whose gradient is not, empty when it is
  // the loss alone.
  std::string FirstNotFinite() const;

 private:
  struct Shard {
    std::int64_t step = 0;
    std::int64_t index = 0;
    bool last = false;  // of this rank
    double scale = 0;   // of the loss
  };
  Status ComputeShard(const Shard& shard, std::span<const std::int64_t> rows,
                      exchange::ShardSums& sums);
  // The loss of a micro-batch, summed, and its gradients.
  Result<double> ComputeRows(const model::Batch& batch, const model::ForwardOptions& options,
                             double scale, bool last);
  Result<double> ComputeTokens(const model::Batch& batch, const model::ForwardOptions& options,
                               double scale, bool last);
  Result<double> ComputePairs(const model::Batch& batch, double scale, bool last);
  // What is told of gradients that are final; nothing but for the rank's last micro-batch.
  model::GradientsFinal OnFinal(bool last);

  Parts p_;
  Deal deal_;
  std::vector<DecaySegment> segments_;
};

// Floats of working memory that a model holds after a training micro-batch of `rows`, found by
// computing it. REQUIRES: weights and gradients are bound.
Result<std::int64_t> WorkingFloats(model::Model& model, const Samples& samples,
                                   std::span<const std::int64_t> rows);

}  // namespace tutti::train
