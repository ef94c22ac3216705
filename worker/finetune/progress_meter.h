// Adds up what steps did between two Progress messages. One thread.
#pragma once

#include <chrono>
#include <cstdint>

#include "common/enginelink/messages.h"
#include "worker/exchange/gradient_exchange.h"
#include "worker/train/phase_clock.h"

namespace tutti::finetune {

class ProgressMeter {
 public:
  // Starts the clock: call before the first step, and again after what is no step (an evaluation).
  void Resume() { since_ = std::chrono::steady_clock::now(); }
  void Pause();

  struct StepDone {
    double learning_rate = 0;
    const exchange::Reduced& reduced;
  };
  void Add(const StepDone& step);
  std::int64_t steps() const { return steps_; }

  struct Place {
    std::int64_t step = 0, total_steps = 0;
    double epoch = 0;
    std::int64_t tokens_total = 0, rows_total = 0;
    exchange::ReduceUse use = {};  // of the exchange, so far
  };
  // What was added since the last Take.
  enginelink::Progress Take(const Place& place, train::PhaseClock& clock);

 private:
  std::chrono::steady_clock::time_point since_{};
  double seconds_ = 0;
  std::int64_t steps_ = 0;
  double loss_ = 0, tokens_ = 0, rows_ = 0;
  double learning_rate_ = 0, norm_ = 0;
  exchange::ReduceUse told_use_;
};

}  // namespace tutti::finetune
