// What must hold of every ledger, restated from scratch. For tests and the simulator: O(jobs).
#pragma once

#include <string>

#include "scheduler/core/ledger.h"

namespace tutti::core {

// "" or the first invariant that is broken: slots and GPUs are never oversubscribed and add up, a
// gang is whole, at most one live attempt a job, attempts grow, indices say what the jobs say.
std::string SanityCheck(const Ledger& ledger);

// "" or what a change from `before` to `after` must never do: an attempt that shrinks, a finished
// job that changes, a job that vanishes unfinished.
std::string TransitionCheck(const Ledger& before, const Ledger& after);

}  // namespace tutti::core
