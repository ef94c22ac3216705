// How long a job's steps take and how much of it is left: measured where it ran, else as inspect
// predicted. Pure functions.
#pragma once

#include <cstdint>
#include <optional>

#include "scheduler/core/ledger.h"
#include "scheduler/core/liveness.h"
#include "scheduler/core/predict.h"

namespace tutti::core {

// An estimate and the interval it most likely lies in.
struct Guess {
  double value = 0;
  double low = 0;
  double high = 0;
};

// What one step took.
struct StepSample {
  std::uint32_t ranks = 1;
  double ms = 0;
};
// Of a step, until more than one size was measured.
inline constexpr double kDividedByRanks = 0.9;
// Milliseconds the same step takes on so many ranks: in proportion to T(r) = s/r + (1 - s) with
// s = `divided`, the share that ranks divide.
double ScaledStepMs(const StepSample& sample, std::uint32_t ranks,
                    double divided = kDividedByRanks);

// Milliseconds a step takes on so many ranks, scaled from the newest attempts; nullopt: nothing is
// known.
std::optional<Guess> StepMs(const Job& job, std::uint32_t ranks);

// The ranks of its newest attempt that took steps, else the least it asks for.
std::uint32_t MeasuredRanks(const Job& job);

// From its newest checkpoint on. REQUIRES: it has an estimate.
std::uint64_t StepsLeft(const Job& job);

// Milliseconds of training left of a job that waits, on the ranks it ran with or else asked for
// least; nullopt: not known. From its newest checkpoint on.
std::optional<std::uint64_t> WorkLeftMs(const Job& job);

// The same for a job with a gang, by its newest progress.
std::optional<Guess> WorkLeftMs(const Job& job, const Liveness& liveness, Instant now);

// How long until a gang is gone that has so many steps left.
Duration UntilGone(std::uint64_t steps_left, double step_ms);
// When a job's gang ends, from now; nullopt: not known, or it has none.
std::optional<Span> PredictEnd(const Job& job, const Liveness& liveness, Instant now);
// The same of all gangs where it is known, in the order of their jobs.
Ends PredictEnds(const Ledger& ledger, const Liveness& liveness, Instant now);
// How long a job that waits will run on so many ranks, with what a start costs; nullopt: not known.
std::optional<Span> PredictRun(const Job& job, std::uint32_t ranks);

}  // namespace tutti::core
