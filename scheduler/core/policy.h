// Scheduling policies: a policy is a function that visits the queue in its order, one row in a
// table. Immutable; any thread.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "scheduler/core/ledger.h"

namespace tutti::core {

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

// The first `limit` jobs in the policy's order, as if none of them were placed.
std::vector<const Job*> FirstInOrder(const Ledger& ledger, const Policy& policy, std::size_t limit);

}  // namespace tutti::core
