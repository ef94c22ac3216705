// When waiting jobs will start, as far as that follows from when running ones end. No threads.
#pragma once

#include <map>
#include <optional>

#include "common/base/time.h"
#include "scheduler/core/state.h"

namespace tutti::core {

// From now: when each running gang will end, where that is known.
using Ends = std::map<JobId, Duration>;

// From now: when each of the first `limit` queued jobs starts, those left out of which nothing is
// known: what is to end before has no known end, or nothing here can run them. A job that starts is
// taken to stay.
std::map<JobId, Duration> PredictStarts(const State& state, const Ends& ends, std::size_t limit);

// The same of a job that is not in the ledger, were it submitted now.
std::optional<Duration> PredictStart(const State& state, const Ends& ends, const Job& submitted);

}  // namespace tutti::core
