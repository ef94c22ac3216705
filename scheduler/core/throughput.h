// How long a job's steps take and how much of it is left: measured where it ran, else as inspect
// predicted, by what other jobs taught. Pure functions.
#pragma once

#include <cstdint>
#include <optional>

#include "scheduler/core/ledger.h"
#include "scheduler/core/liveness.h"
#include "scheduler/core/predict.h"
#include "scheduler/core/state.h"

namespace tutti::core {

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
std::optional<Guess> StepMs(const Job& job, const Learned& learned, std::uint32_t ranks);

// The ranks of its newest attempt that took steps, else the least it asks for.
std::uint32_t MeasuredRanks(const Job& job);

// From its newest checkpoint on. REQUIRES: it has an estimate.
std::uint64_t StepsLeft(const Job& job);

// What is known of runs that begin now: what jobs that ended taught, at the pace of those that run.
Learned LearnedNow(const State& state);

// Milliseconds of a step on so many ranks as admission predicted it; 0 = it did not.
double PriorStepMs(const Job& job, std::uint32_t ranks);
// Milliseconds of an attempt's steps as admission predicted them; 0 = it did not.
double PriorMs(const Job& job, const AttemptRecord& attempt);

// Milliseconds of training left of a job that waits, on the ranks it ran with or else asked for
// least; nullopt: not known. From its newest checkpoint on.
std::optional<std::uint64_t> WorkLeftMs(const Job& job, const Learned& learned);
// The same in admission's milliseconds: a function of the job alone, so that what is ordered by it
// stays so when other jobs end. Measured times are divided by the pace that they were measured at.
std::optional<std::uint64_t> PriorWorkLeftMs(const Job& job);

// WorkLeftMs of a job with a gang, by its newest progress; with the launch while it starts.
std::optional<Guess> WorkLeftMs(const Job& job, const State& state, Instant now);

// From its last step until a gang is gone.
Duration EndingOf(const Learned& learned);
// How long until a gang is gone that has so many steps left.
Duration UntilGone(std::uint64_t steps_left, double step_ms, Duration ending);
// When a job's gang ends, from now; nullopt: not known, or it has none.
std::optional<Span> PredictEnd(const Job& job, const State& state, Instant now);
// The same of all gangs where it is known, in the order of their jobs.
Ends PredictEnds(const State& state, Instant now);
// How long a job that waits will run on so many ranks, from its placement until it is gone;
// nullopt: not known.
std::optional<Span> PredictRun(const Job& job, const Learned& learned, std::uint32_t ranks);

}  // namespace tutti::core
