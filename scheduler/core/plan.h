// Plan: an overlay of slot use, so that several placements inside one Step see each other while
// the ledger stays as it is. Lives for one Step. No threads.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "scheduler/core/ledger.h"

namespace tutti::core {

class Plan {
 public:
  explicit Plan(const Ledger& ledger) : ledger_(ledger) {}

  std::uint32_t FreeSlots(const Node& node) const;
  std::uint64_t FreeMemory(const Node& node) const;  // bytes
  void Book(const std::vector<GangMember>& members, std::uint32_t cpus_per_rank,
            std::uint64_t memory_bytes_per_rank);
  // As if the gang had ended.
  void Release(const std::vector<GangMember>& members, std::uint32_t cpus_per_rank,
               std::uint64_t memory_bytes_per_rank);
  const Ledger& ledger() const { return ledger_; }

 private:
  struct Use {
    std::uint32_t slots = 0;
    std::uint64_t memory_bytes = 0;
  };
  static Use UseOf(const std::map<NodeId, Use>& uses, NodeId node);

  const Ledger& ledger_;
  std::map<NodeId, Use> booked_;
  std::map<NodeId, Use> released_;
};

}  // namespace tutti::core
