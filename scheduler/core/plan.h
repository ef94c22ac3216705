// Plan: an overlay of slot, GPU, memory and disk use, so that several placements inside one Step
// see each other while the ledger stays as it is. Lives for one Step. No threads.
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

  Room Free(const Node& node) const;
  std::uint64_t FreeMemory(const Node& node) const;  // bytes
  // Bytes that neither files nor what running gangs still will write take; the largest number when
  // nothing is known of the node's disk.
  std::uint64_t FreeDisk(const Node& node) const;
  // Likewise for finished models at the coordinator, but for what running gangs will send.
  std::uint64_t FreeStore() const;

  // Nodes of these numerics with at least so much free, until `visit` returns false: those without
  // GPUs first, then by the GPUs that are free, then by slots, then by id, the fewest first. Costs
  // what is visited.
  using Visit = std::function<bool(const Node& node, const Room& free)>;
  void EachWithFree(const std::string& numerics, const Room& least, const Visit& visit) const;

  // What `job` takes once it is placed on `members`; and back again. REQUIRES: not OfEmpty….
  void Book(const std::vector<GangMember>& members, const Job& job);
  void Return(const std::vector<GangMember>& members, const Job& job);
  // As if the job's gang had ended; what it wrote stays. REQUIRES: it has one.
  void Release(const Job& job);
  const Ledger& ledger() const { return ledger_; }

 private:
  struct Change {  // of a node's use
    std::int64_t slots = 0;
    std::int64_t gpus = 0;
    std::int64_t memory_bytes = 0;
    std::int64_t disk_bytes = 0;
    Change operator-() const { return {-slots, -gpus, -memory_bytes, -disk_bytes}; }
  };
  Plan(const Ledger& ledger, const NodesByRoom& index)
      : ledger_(ledger), index_(index), empty_(true) {}
  void Add(NodeId node, const Change& change);
  static Change TakenBy(const Job& job, std::uint32_t ranks, std::uint64_t memory_bytes_per_rank);
  // Of one tier; false once `visit` returned it.
  bool EachInTier(std::uint32_t tier, const std::set<NodeRank>& still,
                  const std::set<NodeRank>& moved, std::uint32_t slots, const Visit& visit) const;

  const Ledger& ledger_;
  const Liveness* liveness_ = nullptr;
  const NodesByRoom& index_;
  const bool empty_ = false;
  std::map<NodeId, Change> changes_;
  NodesByRoom moved_;  // open nodes with changes and free slots; may have empty lists
};

}  // namespace tutti::core
