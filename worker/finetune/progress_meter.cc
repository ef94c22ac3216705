#include "worker/finetune/progress_meter.h"

#include <algorithm>
#include <string>

namespace tutti::finetune {

void ProgressMeter::Pause() {
  const auto now = std::chrono::steady_clock::now();
  seconds_ += std::chrono::duration<double>(now - since_).count();
  since_ = now;
}

void ProgressMeter::Add(const StepDone& step) {
  const exchange::ShardSums& sums = step.reduced.sums;
  ++steps_;
  if (sums.items > 0) loss_ += sums.loss / sums.items;
  tokens_ += sums.tokens;
  rows_ += sums.rows;
  learning_rate_ = step.learning_rate;
  norm_ = step.reduced.norm;
}

namespace {

void TellUse(const exchange::PathUse& told, const exchange::PathUse& now, const std::string& path,
             enginelink::Progress& progress) {
  if (now.bytes == told.bytes) return;
  progress.reduced_bytes[path] = static_cast<double>(now.bytes - told.bytes);
  progress.reduced_seconds[path] = now.seconds - told.seconds;
}

}  // namespace

enginelink::Progress ProgressMeter::Take(const Place& place, train::PhaseClock& clock) {
  Pause();
  const double steps = static_cast<double>(std::max<std::int64_t>(steps_, 1));
  const double seconds = std::max(seconds_, 1e-9);
  const double step_seconds = seconds / steps;
  enginelink::Progress progress{
      .step = static_cast<std::uint64_t>(place.step),
      .total_steps = static_cast<std::uint64_t>(place.total_steps),
      .epoch = place.epoch,
      .loss = loss_ / steps,
      .learning_rate = learning_rate_,
      .grad_norm = norm_,
      .tokens_per_second = tokens_ / seconds,
      .rows_per_second = rows_ / seconds,
      .step_seconds = step_seconds,
      .eta_seconds = step_seconds * static_cast<double>(place.total_steps - place.step),
      .phase_seconds = clock.Take(),
      .tokens_total = static_cast<std::uint64_t>(place.tokens_total),
      .samples_total = static_cast<std::uint64_t>(place.rows_total)};
  TellUse(told_use_.memory, place.use.memory, "memory", progress);
  TellUse(told_use_.network, place.use.network, "network", progress);
  told_use_ = place.use;
  seconds_ = 0;
  steps_ = 0;
  loss_ = tokens_ = rows_ = 0;
  return progress;
}

}  // namespace tutti::finetune
