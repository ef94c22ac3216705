#include "scheduler/core/learned.h"

#include <algorithm>
#include <cmath>

namespace tutti::core {
namespace {

constexpr double kRemembered = 20;  // jobs
// What is further off than so many times the spread counts as that far.
constexpr double kWild = 4;
// The interval reaches so many times the spread: nine of ten jobs, were distances normal (their
// mean is 0.8 standard deviations then).
constexpr double kReach = 2;
// Of an average that was right each time, too.
constexpr double kLeastPaceSpread = 0.07;  // 15 % in the interval
constexpr double kLeastSpreadMs = 50;
constexpr double kLeastSpread = 0.05;  // of the milliseconds
// A shorter training says less of how long steps take: clocks and first steps count for more.
constexpr double kTellingMs = 1000;

// What it began with counts as one job.
void Add(Average& average, double seen, double weight, double least_spread) {
  average.jobs = std::min(average.jobs + weight, kRemembered);
  const double share = weight / (1 + average.jobs);
  const double wild = kWild * average.spread;
  const double off = std::clamp(seen - average.value, -wild, wild);
  average.value += share * off;
  average.spread += share * (std::abs(off) - average.spread);
  average.spread = std::max(average.spread, least_spread);
}

void AddMs(Average& average, double ms) {
  Add(average, ms, 1, std::max(kLeastSpreadMs, kLeastSpread * average.value));
}

Guess Milliseconds(const Average& average) {
  const double reach = kReach * average.spread;
  return {average.value, std::max(0.0, average.value - reach), average.value + reach};
}

}  // namespace

void Learn(Learned& learned, const Taken& taken) {
  const std::uint64_t before_end = taken.launch_ms + taken.steps_ms;
  if (taken.steps_ms == 0 || before_end < taken.steps_ms || before_end > taken.ran_ms) return;
  AddMs(learned.launch, static_cast<double>(taken.launch_ms));
  AddMs(learned.ending, static_cast<double>(taken.ran_ms - before_end));
  if (!(taken.prior_ms > 0)) return;
  const auto steps_ms = static_cast<double>(taken.steps_ms);
  Add(learned.pace, std::log(steps_ms / taken.prior_ms), std::min(1.0, steps_ms / kTellingMs),
      kLeastPaceSpread);
}

Guess PaceOf(const Learned& learned) {
  const double reach = kReach * learned.pace.spread;
  return {std::exp(learned.pace.value), std::exp(learned.pace.value - reach),
          std::exp(learned.pace.value + reach)};
}

Guess LaunchMsOf(const Learned& learned) { return Milliseconds(learned.launch); }
Guess EndingMsOf(const Learned& learned) { return Milliseconds(learned.ending); }

}  // namespace tutti::core
