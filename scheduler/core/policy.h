// Scheduling policies: a policy is a function that orders the queue, one row in a table.
// Immutable; any thread.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "scheduler/core/ledger.h"

namespace tutti::core {

struct Policy {
  std::string_view name;
  // The queued jobs that may be placed (not held), first to be placed first.
  std::vector<const Job*> (*order)(const Ledger& ledger);
};

std::span<const Policy> Policies();
// nullptr when there is none of that name.
const Policy* FindPolicy(std::string_view name);
// Priority, then order of submission.
const Policy& DefaultPolicy();

}  // namespace tutti::core
