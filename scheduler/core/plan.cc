#include "scheduler/core/plan.h"

#include <algorithm>
#include <limits>

#include "scheduler/core/disk.h"
#include "scheduler/core/place.h"

namespace tutti::core {
namespace {

constexpr std::uint64_t kUnbounded = std::numeric_limits<std::uint64_t>::max();

}  // namespace

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

void Plan::Release(const Job& job) {
  const Gang& gang = *ActiveGang(job);
  for (const GangMember& member : gang.members) {
    Use& use = released_[member.node];
    use.slots += member.ranks * job.request.cpus_per_rank;
    use.memory_bytes += member.ranks * gang.memory_bytes_per_rank;
  }
}

std::uint64_t Plan::FreeDisk(const Node& node) const {
  const auto seen = liveness_.nodes.find(node.id);
  if (node.disk_bytes == 0 || seen == liveness_.nodes.end()) return kUnbounded;
  std::uint64_t used = UseOf(booked_, node.id).disk_bytes;
  for (JobId id : node.gangs) used += DiskNeeded(ledger_.jobs.at(id));
  const std::uint64_t free = seen->second.disk_free_bytes;
  return used < free ? free - used : 0;
}

std::uint64_t Plan::FreeStore() const {
  return liveness_.store_disk_bytes == 0 ? kUnbounded : liveness_.store_disk_free_bytes;
}

void Plan::Book(const std::vector<GangMember>& members, const Job& job) {
  for (const GangMember& member : members) {
    Use& use = booked_[member.node];
    use.slots += member.ranks * job.request.cpus_per_rank;
    use.memory_bytes += member.ranks * MemoryPerRank(job);
    use.disk_bytes += DiskNeeded(job);
  }
}

}  // namespace tutti::core
