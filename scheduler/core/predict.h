// When waiting jobs will start, as far as that follows from when others end. No threads.
#pragma once

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/time.h"
#include "scheduler/core/state.h"

namespace tutti::core {

// A time from now, and the interval it most likely lies in.
struct Span {
  Duration value{};
  Duration low{};
  Duration high{};
  bool operator==(const Span&) const = default;
};

inline Span Exactly(Duration in) { return {in, in, in}; }
inline Span Sum(const Span& a, const Span& b) {
  return {a.value + b.value, a.low + b.low, a.high + b.high};
}

// When gangs will end, where that is known.
using Ends = std::vector<std::pair<JobId, Span>>;

// When each of the first `limit` queued jobs starts, those left out of which nothing is known: what
// is to end before has no known end, a limit of its queue holds it, or nothing here can run it.
std::map<JobId, Span> PredictStarts(const State& state, const Ends& ends, std::size_t limit);

// The same of a job that is not in the ledger, were it submitted now.
std::optional<Span> PredictStart(const State& state, const Ends& ends, const Job& submitted);

}  // namespace tutti::core
