// Rebuild: a ledger from its jobs, nodes and counters alone, as a snapshot stores them. Slot use
// and every index are derived. A ledger that Apply made equals its own rebuild.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "scheduler/core/ledger.h"

namespace tutti::core {

struct LedgerParts {
  std::vector<std::pair<Job, std::uint64_t>>
      jobs;                 // with the key in Ledger::finished, 0 = not finished
  std::vector<Node> nodes;  // slot use and gangs are ignored
  std::uint64_t generation = 0;
  std::uint64_t last_sequence = 0;
  std::uint64_t facts_applied = 0;
  std::uint64_t last_finished = 0;
  Sharing sharing = {};
  Learned learned = {};
};

LedgerParts Dismantle(const Ledger& ledger);
Ledger Rebuild(LedgerParts parts);

}  // namespace tutti::core
