// Scheduling policies: a policy is a function that visits the queue in its order, one row in a
// table. Immutable; any thread.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "scheduler/core/ledger.h"

namespace tutti::core {

struct State;

enum class Verdict {
  kPlaced,  // it holds slots from now on, which may change who is next
  kPassed,  // the next one, please
  kLeft,    // no more of this user's jobs in that queue, please
  kEnough,
};
using Visit = std::function<Verdict(const Job&)>;

struct Policy {
  std::string_view name;
  std::string_view what;  // for people
  // Whether a job that waits may take the place of one with much more work left.
  bool preempts = false;
  // Whether its order may pass a job again and again, so that a turn has to be kept for it.
  bool keeps_turns = false;
  // The queued jobs that MayStart, first to be placed first. Costs what is visited, not what waits.
  void (*each)(const Ledger& ledger, const Visit& visit);
};

std::span<const Policy> Policies();
// nullptr when there is none of that name.
const Policy* FindPolicy(std::string_view name);
// Priority, then order of submission.
const Policy& DefaultPolicy();
// The one that was chosen, else `otherwise`.
const Policy& PolicyOf(const Ledger& ledger, const Policy& otherwise);

// Whether `job`, for which there is no room although it is first in the order, stays first from now
// on until it starts: it has waited for kTurnKeptAfter, and the policy keeps turns.
bool KeepsTurn(const State& state, const Job& job, Instant now);

// Visits the queue: the job whose turn is kept (Liveness::turn), then the others in the order of
// the policy that is chosen.
void VisitQueue(const State& state, const Visit& visit);
// The first `limit` of them, as if none of them were placed.
std::vector<const Job*> FirstInQueue(const State& state, std::size_t limit);

}  // namespace tutti::core
