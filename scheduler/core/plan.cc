#include "scheduler/core/plan.h"

#include <algorithm>
#include <limits>

#include "common/base/check.h"
#include "scheduler/core/disk.h"
#include "scheduler/core/place.h"

namespace tutti::core {
namespace {

constexpr std::uint64_t kUnbounded = std::numeric_limits<std::uint64_t>::max();

// What is left of `all` when `used`, changed by so much, is taken.
std::uint64_t Left(std::uint64_t all, std::uint64_t used, std::int64_t change) {
  const std::int64_t now = static_cast<std::int64_t>(used) + change;
  const std::uint64_t taken = now > 0 ? static_cast<std::uint64_t>(now) : 0;
  return taken < all ? all - taken : 0;
}

}  // namespace

std::uint32_t Plan::FreeSlots(const Node& node) const {
  if (empty_) return node.slots;
  const auto change = changes_.find(node.id);
  if (change == changes_.end()) return FreeSlotsOf(node);
  return static_cast<std::uint32_t>(Left(node.slots, node.slots_used, change->second.slots));
}

std::uint64_t Plan::FreeMemory(const Node& node) const {
  if (empty_) return node.memory_bytes;
  const auto change = changes_.find(node.id);
  return Left(node.memory_bytes, node.memory_bytes_used,
              change == changes_.end() ? 0 : change->second.memory_bytes);
}

std::uint64_t Plan::FreeDisk(const Node& node) const {
  if (liveness_ == nullptr) return kUnbounded;
  const auto seen = liveness_->nodes.find(node.id);
  if (node.disk_bytes == 0 || seen == liveness_->nodes.end()) return kUnbounded;
  const auto change = changes_.find(node.id);
  std::uint64_t used = 0;
  for (JobId id : node.gangs) used += DiskNeeded(ledger_.jobs.at(id));
  return Left(seen->second.disk_free_bytes, used,
              change == changes_.end() ? 0 : change->second.disk_bytes);
}

std::uint64_t Plan::FreeStore() const {
  if (liveness_ == nullptr || liveness_->store_disk_bytes == 0) return kUnbounded;
  return liveness_->store_disk_free_bytes;
}

// The nodes that changed are in an index of their own, which goes before the ledger's: two sorted
// lists, merged.
void Plan::EachWithFree(const std::string& numerics, std::uint32_t slots,
                        const Visit& visit) const {
  static const std::set<NodeRank> kNone;
  const auto in = [&](const NodesBySlots& index) -> const std::set<NodeRank>& {
    const auto equal = index.find(numerics);
    return equal == index.end() ? kNone : equal->second;
  };
  const std::set<NodeRank>& still = in(index_);
  const std::set<NodeRank>& moved = in(moved_);
  const NodeRank first{slots, NodeId{}};
  auto a = still.lower_bound(first);
  auto b = moved.lower_bound(first);
  for (;;) {
    while (a != still.end() && changes_.contains(a->node)) ++a;
    const bool from_still = b == moved.end() || (a != still.end() && *a < *b);
    if (from_still && a == still.end()) return;
    const NodeRank rank = from_still ? *a++ : *b++;
    if (!visit(ledger_.nodes.at(rank.node), rank.slots)) return;
  }
}

void Plan::Add(NodeId id, const Change& more) {
  TUTTI_CHECK(!empty_);
  const Node& node = ledger_.nodes.at(id);
  const std::uint32_t before = FreeSlots(node);
  const auto [change, fresh] = changes_.try_emplace(id);
  const bool open = IsOpen(node);
  if (!fresh && open && before > 0) moved_[node.numerics_fingerprint].erase({before, id});
  change->second.slots += more.slots;
  change->second.memory_bytes += more.memory_bytes;
  change->second.disk_bytes += more.disk_bytes;
  const std::uint32_t after = FreeSlots(node);
  if (open && after > 0) moved_[node.numerics_fingerprint].insert({after, id});
}

void Plan::Book(const std::vector<GangMember>& members, const Job& job) {
  for (const GangMember& member : members) {
    Add(member.node, {.slots = std::int64_t{member.ranks} * job.request.cpus_per_rank,
                      .memory_bytes = static_cast<std::int64_t>(member.ranks * MemoryPerRank(job)),
                      .disk_bytes = static_cast<std::int64_t>(DiskNeeded(job))});
  }
}

void Plan::Return(const std::vector<GangMember>& members, const Job& job) {
  for (const GangMember& member : members) {
    Add(member.node,
        {.slots = -std::int64_t{member.ranks} * job.request.cpus_per_rank,
         .memory_bytes = -static_cast<std::int64_t>(member.ranks * MemoryPerRank(job))});
  }
}

void Plan::Release(const Job& job) {
  const Gang& gang = *ActiveGang(job);
  for (const GangMember& member : gang.members) {
    Add(member.node,
        {.slots = -std::int64_t{member.ranks} * job.request.cpus_per_rank,
         .memory_bytes = -static_cast<std::int64_t>(member.ranks * gang.memory_bytes_per_rank)});
  }
}

}  // namespace tutti::core
