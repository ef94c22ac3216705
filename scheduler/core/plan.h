// Plan: an overlay of slot, memory and disk use, so that several placements inside one Step see
// each other while the ledger stays as it is. Lives for one Step. No threads.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "scheduler/core/ledger.h"
#include "scheduler/core/liveness.h"

namespace tutti::core {

class Plan {
 public:
  Plan(const Ledger& ledger, const Liveness& liveness)
      : ledger_(ledger), liveness_(&liveness), index_(ledger.node_index.free) {}
  // As if nothing ran and no disk were written: on the open nodes, or on all that have not left.
  static Plan OfEmptyOpen(const Ledger& ledger) { return {ledger, ledger.node_index.open}; }
  static Plan OfEmptyKnown(const Ledger& ledger) { return {ledger, ledger.node_index.known}; }

  std::uint32_t FreeSlots(const Node& node) const;
  std::uint64_t FreeMemory(const Node& node) const;  // bytes
  // Bytes that neither files nor what running gangs still will write take; the largest number when
  // nothing is known of the node's disk.
  std::uint64_t FreeDisk(const Node& node) const;
  // Likewise for finished models at the coordinator, but for what running gangs will send.
  std::uint64_t FreeStore() const;

  // Nodes of these numerics with at least so many slots free, the fewest first, then by id, until
  // `visit` returns false.
  using Visit = std::function<bool(const Node& node, std::uint32_t free_slots)>;
  void EachWithFree(const std::string& numerics, std::uint32_t slots, const Visit& visit) const;

  // What `job` takes once it is placed on `members`; and back again. REQUIRES: not OfEmpty….
  void Book(const std::vector<GangMember>& members, const Job& job);
  void Return(const std::vector<GangMember>& members, const Job& job);
  // As if the job's gang had ended; what it wrote stays. REQUIRES: it has one.
  void Release(const Job& job);
  const Ledger& ledger() const { return ledger_; }

 private:
  struct Change {  // of a node's use
    std::int64_t slots = 0;
    std::int64_t memory_bytes = 0;
    std::int64_t disk_bytes = 0;
  };
  Plan(const Ledger& ledger, const NodesBySlots& index)
      : ledger_(ledger), index_(index), empty_(true) {}
  void Add(NodeId node, const Change& change);

  const Ledger& ledger_;
  const Liveness* liveness_ = nullptr;
  const NodesBySlots& index_;
  const bool empty_ = false;
  std::map<NodeId, Change> changes_;
  NodesBySlots moved_;  // open nodes with changes and free slots, by those
};

}  // namespace tutti::core
