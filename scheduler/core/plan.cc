#include "scheduler/core/plan.h"

#include <algorithm>

namespace tutti::core {

std::uint32_t Plan::FreeSlots(const Node& node) const {
  const std::uint32_t used = node.slots_used + UseOf(booked_, node.id).slots;
  const std::uint32_t left = used - std::min(used, UseOf(released_, node.id).slots);
  return left < node.slots ? node.slots - left : 0;
}

std::uint64_t Plan::FreeMemory(const Node& node) const {
  const std::uint64_t used = node.memory_bytes_used + UseOf(booked_, node.id).memory_bytes;
  const std::uint64_t left = used - std::min(used, UseOf(released_, node.id).memory_bytes);
  return left < node.memory_bytes ? node.memory_bytes - left : 0;
}

Plan::Use Plan::UseOf(const std::map<NodeId, Use>& uses, NodeId node) {
  const auto use = uses.find(node);
  return use == uses.end() ? Use{} : use->second;
}

void Plan::Release(const std::vector<GangMember>& members, std::uint32_t cpus_per_rank,
                   std::uint64_t memory_bytes_per_rank) {
  for (const GangMember& member : members) {
    Use& use = released_[member.node];
    use.slots += member.ranks * cpus_per_rank;
    use.memory_bytes += member.ranks * memory_bytes_per_rank;
  }
}

void Plan::Book(const std::vector<GangMember>& members, std::uint32_t cpus_per_rank,
                std::uint64_t memory_bytes_per_rank) {
  for (const GangMember& member : members) {
    Use& use = booked_[member.node];
    use.slots += member.ranks * cpus_per_rank;
    use.memory_bytes += member.ranks * memory_bytes_per_rank;
  }
}

}  // namespace tutti::core
