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

Room Plan::Free(const Node& node) const {
  if (empty_) return AllOf(node);
  const auto change = changes_.find(node.id);
  if (change == changes_.end()) return FreeOf(node);
  const auto left = [](std::uint32_t all, std::uint32_t used, std::int64_t more) {
    return static_cast<std::uint32_t>(Left(all, used, more));
  };
  return {.slots = left(node.slots, node.slots_used, change->second.slots),
          .gpus = left(node.gpus, node.gpus_used, change->second.gpus)};
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
// lists, merged tier by tier.
void Plan::EachWithFree(const std::string& numerics, const Room& least, const Visit& visit) const {
  static const NodesByTier kNoTiers;
  static const std::set<NodeRank> kNone;
  const auto in = [&](const NodesByRoom& index) -> const NodesByTier& {
    const auto equal = index.find(numerics);
    return equal == index.end() ? kNoTiers : equal->second;
  };
  const NodesByTier& still = in(index_);
  const NodesByTier& moved = in(moved_);
  auto a = still.lower_bound(TierWith(least.gpus));
  auto b = moved.lower_bound(TierWith(least.gpus));
  while (a != still.end() || b != moved.end()) {
    const bool in_a = a != still.end() && (b == moved.end() || a->first <= b->first);
    const bool in_b = b != moved.end() && (a == still.end() || b->first <= a->first);
    const std::uint32_t tier = in_a ? a->first : b->first;
    if (!EachInTier(tier, in_a ? a->second : kNone, in_b ? b->second : kNone, least.slots, visit)) {
      return;
    }
    if (in_a) ++a;
    if (in_b) ++b;
  }
}

bool Plan::EachInTier(std::uint32_t tier, const std::set<NodeRank>& still,
                      const std::set<NodeRank>& moved, std::uint32_t slots,
                      const Visit& visit) const {
  const NodeRank first{slots, NodeId{}};
  auto a = still.lower_bound(first);
  auto b = moved.lower_bound(first);
  for (;;) {
    while (a != still.end() && changes_.contains(a->node)) ++a;
    const bool from_still = b == moved.end() || (a != still.end() && *a < *b);
    if (from_still && a == still.end()) return true;
    const NodeRank rank = from_still ? *a++ : *b++;
    const Room free{.slots = rank.slots, .gpus = GpusOfTier(tier)};
    if (!visit(ledger_.nodes.at(rank.node), free)) return false;
  }
}

void Plan::Add(NodeId id, const Change& more) {
  TUTTI_CHECK(!empty_);
  const Node& node = ledger_.nodes.at(id);
  const Room before = Free(node);
  const auto [change, fresh] = changes_.try_emplace(id);
  const bool open = IsOpen(node);
  const auto list = [&](const Room& room) -> std::set<NodeRank>& {
    return moved_[node.numerics_fingerprint][TierOf(node, room.gpus)];
  };
  if (!fresh && open && before.slots > 0) list(before).erase({before.slots, id});
  change->second.slots += more.slots;
  change->second.gpus += more.gpus;
  change->second.memory_bytes += more.memory_bytes;
  change->second.disk_bytes += more.disk_bytes;
  const Room after = Free(node);
  if (open && after.slots > 0) list(after).insert({after.slots, id});
}

Plan::Change Plan::TakenBy(const Job& job, std::uint32_t ranks,
                           std::uint64_t memory_bytes_per_rank) {
  return {.slots = std::int64_t{ranks} * job.request.cpus_per_rank,
          .gpus = std::int64_t{ranks} * job.request.gpus_per_rank,
          .memory_bytes = static_cast<std::int64_t>(ranks * memory_bytes_per_rank)};
}

void Plan::Book(const std::vector<GangMember>& members, const Job& job) {
  for (const GangMember& member : members) {
    Change more = TakenBy(job, member.ranks, MemoryPerRank(job));
    more.disk_bytes = static_cast<std::int64_t>(DiskNeeded(job));
    Add(member.node, more);
  }
}

void Plan::Return(const std::vector<GangMember>& members, const Job& job) {
  for (const GangMember& member : members) {
    Add(member.node, -TakenBy(job, member.ranks, MemoryPerRank(job)));
  }
}

void Plan::Release(const Job& job) {
  const Gang& gang = *ActiveGang(job);
  for (const GangMember& member : gang.members) {
    Add(member.node, -TakenBy(job, member.ranks, gang.memory_bytes_per_rank));
  }
}

}  // namespace tutti::core
