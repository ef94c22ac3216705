// Sweeps of method asha: trials are compared at rungs, the best third of each goes on, the others
// wait with a checkpoint, and leave once nothing can promote them any more (successive halving as
// it comes, Li et al. 2020: https://arxiv.org/abs/1810.05934). Nothing is trained twice: a promoted
// trial goes on where it stopped. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "scheduler/core/ledger.h"

namespace tutti::core {

inline constexpr std::uint64_t kRungReduction = 3;

// Steps of the job from which on an evaluation counts for its rungs, the first rung first: a third
// of all steps for the last one, a third of that before, as many as trials allow. Empty: the job is
// no trial of such a sweep, or its length is not known.
std::vector<std::uint64_t> RungSteps(const Job& job);

// How a trial stands with its value at a rung among the others of its sweep that reached it; of
// equal ones the first that was submitted is better.
struct Standing {
  std::size_t better = 0;
  std::size_t others = 0;
};
Standing StandingAt(const Ledger& ledger, const Job& job, std::size_t rung, double value);

}  // namespace tutti::core
