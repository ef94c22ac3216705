#include <algorithm>
#include <bit>

#include "common/base/check.h"
#include "common/base/units.h"
#include "scheduler/core/place.h"

namespace tutti::core {
namespace {

using internal::Concat;

// Ranks of this job that fit into so many slots and bytes, as a power of two at most `max`; 0 =
// none.
std::uint32_t RanksIn(std::uint64_t slots, std::uint64_t memory, const Job& job,
                      std::uint32_t max) {
  std::uint64_t ranks = std::min<std::uint64_t>(max, slots / job.request.cpus_per_rank);
  if (const std::uint64_t each = MemoryPerRank(job); each > 0) {
    ranks = std::min(ranks, memory / each);
  }
  return ranks == 0 ? 0 : static_cast<std::uint32_t>(std::bit_floor(ranks));
}

bool SameNumerics(const Job& job, const Node& node) {
  return job.numerics_fingerprint.empty() || job.numerics_fingerprint == node.numerics_fingerprint;
}

std::string Needs(const Job& job, std::uint32_t ranks) {
  std::string text = Concat("needs ", ranks * job.request.cpus_per_rank, " slots (", ranks,
                            ranks == 1 ? " rank × " : " ranks × ", job.request.cpus_per_rank, ")");
  if (const std::uint64_t memory = MemoryPerRank(job); memory > 0) {
    text += Concat(" and ", FormatBytes({static_cast<std::int64_t>(memory * ranks)}));
  }
  return text;
}

struct Census {
  std::uint32_t nodes_up = 0;
  std::uint32_t nodes_equal = 0;  // with the numerics the job needs
  std::uint64_t slots_total = 0;  // of those
  std::uint64_t slots_free = 0;
  bool held_by_one_when_empty = false;  // some such node could hold the smallest gang
};

Census Count(const Job& job, std::uint32_t min, const Plan& plan) {
  Census census;
  for (const auto& [id, node] : plan.ledger().nodes) {
    if (node.state != NodeState::kUp) continue;
    ++census.nodes_up;
    if (job.request.reproducible && !SameNumerics(job, node)) continue;
    ++census.nodes_equal;
    census.slots_total += node.slots;
    census.slots_free += plan.FreeSlots(node);
    if (RanksIn(node.slots, node.memory_bytes, job, min) >= min) {
      census.held_by_one_when_empty = true;
    }
  }
  return census;
}

NoFit Why(const Job& job, std::uint32_t min, const Plan& plan) {
  const Census census = Count(job, min, plan);
  const std::uint64_t wanted = std::uint64_t{min} * job.request.cpus_per_rank;
  if (census.nodes_up == 0) {
    return {spec::PendingReason::kPoolDown, "no worker is connected", false};
  }
  if (census.nodes_equal == 0) {
    return {spec::PendingReason::kNumerics,
            "no connected worker computes the same bits as the first attempt's "
            "(schedule.reproducible)",
            false};
  }
  const std::string numbers = Concat(Needs(job, min), "; ", census.slots_free, " of ",
                                     census.slots_total, " slots are free");
  if (!census.held_by_one_when_empty) {
    const bool spread = census.slots_total >= wanted;
    return {spread ? spec::PendingReason::kFragmentation : spec::PendingReason::kResources,
            numbers + ", and no worker is large enough", false};
  }
  if (census.slots_free >= wanted && census.nodes_equal > 1) {
    return {spec::PendingReason::kFragmentation, numbers + ", but not on one worker", true};
  }
  return {spec::PendingReason::kResources, numbers, true};
}

}  // namespace

GangSizes SizesOf(const Job& job) {
  if (job.ranks_override != 0) return {job.ranks_override, job.ranks_override};
  return {job.request.ranks_min, job.request.ranks_max};
}

std::uint64_t MemoryPerRank(const Job& job) {
  if (job.request.memory_bytes_per_rank != 0) return job.request.memory_bytes_per_rank;
  return job.estimate ? job.estimate->memory_bytes_per_rank : 0;
}

std::variant<Placement, NoFit> Fit(const Job& job, const Plan& plan) {
  const GangSizes sizes = SizesOf(job);
  const Node* best = nullptr;
  std::uint32_t best_size = 0;
  std::uint32_t best_left = 0;
  for (const auto& [id, node] : plan.ledger().nodes) {
    if (node.state != NodeState::kUp) continue;
    if (job.request.reproducible && !SameNumerics(job, node)) continue;
    const std::uint32_t free = plan.FreeSlots(node);
    const std::uint32_t size = RanksIn(free, plan.FreeMemory(node), job, sizes.max);
    if (size < sizes.min || size == 0) continue;
    const std::uint32_t left = free - size * job.request.cpus_per_rank;
    if (best == nullptr || size > best_size || (size == best_size && left < best_left)) {
      best = &node;
      best_size = size;
      best_left = left;
    }
  }
  if (best == nullptr) return Why(job, sizes.min, plan);
  return Placement{
      best_size, {{best->id, 0, best_size}}, best->numerics_fingerprint, !SameNumerics(job, *best)};
}

Status CouldEverFit(const Ledger& ledger, const JobRequest& request, std::uint32_t size,
                    std::uint64_t memory_bytes_per_rank) {
  const std::uint64_t slots = std::uint64_t{size} * request.cpus_per_rank;
  const std::uint64_t memory = size * memory_bytes_per_rank;
  std::uint64_t slots_total = 0;
  std::uint64_t memory_total = 0;
  std::uint32_t largest = 0;
  bool registered = false;
  for (const auto& [id, node] : ledger.nodes) {
    if (node.state == NodeState::kLeft) continue;
    registered = true;
    if (node.slots >= slots && node.memory_bytes >= memory) return {};
    slots_total += node.slots;
    memory_total += node.memory_bytes;
    largest = std::max(largest, node.slots);
  }
  if (!registered) return {};
  const std::string asked =
      Concat("a gang of ", size, size == 1 ? " rank" : " ranks", " takes ", slots, " slots and ",
             FormatBytes({static_cast<std::int64_t>(memory)}));
  if (slots_total >= slots && memory_total >= memory) {
    return Fail(ErrorCode::kUnsupported,
                Concat(asked, ", more than any one worker has (the largest has ", largest,
                       " slots); gangs across machines are not supported yet"),
                "resources.ranks", "ask for fewer ranks");
  }
  return Fail(ErrorCode::kInvalid,
              Concat(asked, "; all registered workers together have ", slots_total, " slots and ",
                     FormatBytes({static_cast<std::int64_t>(memory_total)})),
              "resources.ranks", "ask for fewer ranks or add workers");
}

}  // namespace tutti::core
