// Names the ranks that stand still while the others wait for them. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jobs/attempt/attempt.h"

namespace tutti::attempt {

inline constexpr std::size_t kStepTimes = 15;
inline constexpr std::size_t kStepTimesNeeded = 3;

struct Stalls {
  std::vector<Stall> ranks;  // by rank
  bool fatal = false;        // the gang is to be given up
};

// A rank that a signal stopped is named when it has been silent for 3 × the median step + 0.7 s.
// One that hangs is named then too, while the whole gang is inside steps or evaluates and nobody
// gets on: the one that entered fewest collectives and does not say that it waits. Where all ranks
// here wait for another machine nobody is named: that machine does. The gang is given up after 10 ×
// the median + 10 s (an evaluation gets a minute); in phases that are no steps only after
// Limits::quiet, but for ranks that are stopped.
Stalls FindStalls(const State& state, Instant now);

// REQUIRES: some times.
Duration Median(std::vector<Duration> times);

// "rank 1 on worker w1 goes on after 2.3 s".
std::string GoesOnMessage(const State& state, const Stall& stall);

}  // namespace tutti::attempt
