// Plan: an overlay of slot, memory and disk use, so that several placements inside one Step see
// each other while the ledger stays as it is. Lives for one Step. No threads.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "scheduler/core/ledger.h"
#include "scheduler/core/liveness.h"

namespace tutti::core {

class Plan {
 public:
  Plan(const Ledger& ledger, const Liveness& liveness) : ledger_(ledger), liveness_(liveness) {}

  std::uint32_t FreeSlots(const Node& node) const;
  std::uint64_t FreeMemory(const Node& node) const;  // bytes
  // Bytes that neither files nor what running gangs still will write take; the largest number when
  // nothing is known of the node's disk.
  std::uint64_t FreeDisk(const Node& node) const;
  // Likewise for finished models at the coordinator, but for what running gangs will send.
  std::uint64_t FreeStore() const;
  // What `job` takes once it is placed on `members`.
  void Book(const std::vector<GangMember>& members, const Job& job);
  // As if the job's gang had ended; what it wrote stays. REQUIRES: it has one.
  void Release(const Job& job);
  const Ledger& ledger() const { return ledger_; }

 private:
  struct Use {
    std::uint32_t slots = 0;
    std::uint64_t memory_bytes = 0;
    std::uint64_t disk_bytes = 0;
  };
  static Use UseOf(const std::map<NodeId, Use>& uses, NodeId node);

  const Ledger& ledger_;
  const Liveness& liveness_;
  std::map<NodeId, Use> booked_;
  std::map<NodeId, Use> released_;
};

}  // namespace tutti::core
