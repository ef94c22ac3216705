#include "scheduler/core/plan.h"

namespace tutti::core {

std::uint32_t Plan::FreeSlots(const Node& node) const {
  const auto use = booked_.find(node.id);
  const std::uint32_t used = node.slots_used + (use == booked_.end() ? 0 : use->second.slots);
  return used < node.slots ? node.slots - used : 0;
}

std::uint64_t Plan::FreeMemory(const Node& node) const {
  const auto use = booked_.find(node.id);
  const std::uint64_t used =
      node.memory_bytes_used + (use == booked_.end() ? 0 : use->second.memory_bytes);
  return used < node.memory_bytes ? node.memory_bytes - used : 0;
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
