#include <algorithm>
#include <bit>
#include <map>

#include "common/base/check.h"
#include "common/base/units.h"
#include "scheduler/core/disk.h"
#include "scheduler/core/place.h"

namespace tutti::core {
namespace {

using internal::Concat;

// Ranks that fit into so many slots and bytes, as a power of two at most `max`; 0 = none.
std::uint32_t RanksIn(std::uint64_t slots, std::uint64_t memory, std::uint32_t cpus_per_rank,
                      std::uint64_t memory_per_rank, std::uint32_t max) {
  std::uint64_t ranks = std::min<std::uint64_t>(max, slots / cpus_per_rank);
  if (memory_per_rank > 0) ranks = std::min(ranks, memory / memory_per_rank);
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

// Nodes of one numerics fingerprint and how many ranks each may take, as a power of two at most the
// gang's largest size.
struct Room {
  const Node* node = nullptr;
  std::uint32_t ranks = 0;
  std::uint32_t free_slots = 0;
};
using RoomsByNumerics = std::map<std::string_view, std::vector<Room>>;

struct Arrangement {
  std::vector<GangMember> members;    // none: the gang does not fit
  std::uint64_t slots_left_over = 0;  // on its machines
};

// The fewest machines, a power of two of them, that hold `size` ranks in equal parts; of those that
// can, the ones with the fewest slots left over, then the lowest ids.
Arrangement Arrange(const std::vector<Room>& rooms, std::uint32_t size,
                    std::uint32_t cpus_per_rank) {
  for (std::uint32_t machines = 1; machines <= size; machines *= 2) {
    const std::uint32_t each = size / machines;
    std::vector<Room> fitting;
    for (const Room& room : rooms) {
      if (room.ranks >= each) fitting.push_back(room);
    }
    if (fitting.size() < machines) continue;
    std::stable_sort(fitting.begin(), fitting.end(), [](const Room& a, const Room& b) {
      return a.free_slots < b.free_slots;  // each machine gives up as many
    });
    fitting.resize(machines);
    std::sort(fitting.begin(), fitting.end(),
              [](const Room& a, const Room& b) { return a.node->id < b.node->id; });
    Arrangement found;
    for (const Room& room : fitting) {
      const auto first_rank = static_cast<std::uint32_t>(found.members.size()) * each;
      found.members.push_back({room.node->id, first_rank, each});
      found.slots_left_over += room.free_slots - each * cpus_per_rank;
    }
    return found;
  }
  return {};
}

bool Better(const Arrangement& a, const Arrangement& b) {
  if (b.members.empty()) return !a.members.empty();
  if (a.members.empty()) return false;
  if (a.members.size() != b.members.size()) return a.members.size() < b.members.size();
  return a.slots_left_over < b.slots_left_over;
}

struct Census {
  std::uint32_t nodes_open = 0;
  std::string draining;           // names of the others that are up
  std::uint32_t nodes_equal = 0;  // with the numerics the job needs
  std::uint64_t slots_total = 0;  // of those
  std::uint64_t slots_free = 0;
  std::uint64_t memory_total = 0;
  std::uint64_t memory_free = 0;
  bool held_when_empty = false;  // some such nodes could hold the smallest gang
};

Census Count(const Job& job, std::uint32_t min, const Plan& plan) {
  Census census;
  RoomsByNumerics empty;
  for (const auto& [id, node] : plan.ledger().nodes) {
    if (node.state != NodeState::kUp) continue;
    if (node.draining) {
      census.draining += (census.draining.empty() ? "" : ", ") + node.name;
      continue;
    }
    ++census.nodes_open;
    if (job.request.reproducible && !SameNumerics(job, node)) continue;
    ++census.nodes_equal;
    census.slots_total += node.slots;
    census.slots_free += plan.FreeSlots(node);
    census.memory_total += node.memory_bytes;
    census.memory_free += plan.FreeMemory(node);
    empty[node.numerics_fingerprint].push_back(
        {&node,
         RanksIn(node.slots, node.memory_bytes, job.request.cpus_per_rank, MemoryPerRank(job), min),
         node.slots});
  }
  for (const auto& [numerics, rooms] : empty) {
    const Arrangement found = Arrange(rooms, min, job.request.cpus_per_rank);
    if (!found.members.empty()) census.held_when_empty = true;
  }
  return census;
}

NoFit Why(const Job& job, std::uint32_t min, const Plan& plan) {
  const Census census = Count(job, min, plan);
  const std::uint64_t wanted = std::uint64_t{min} * job.request.cpus_per_rank;
  if (census.nodes_open == 0) {
    return {spec::PendingReason::kPoolDown, NoNodeText(plan.ledger()), false};
  }
  if (census.nodes_equal == 0) {
    return {spec::PendingReason::kNumerics,
            "no connected worker computes the same bits as the first attempt's "
            "(schedule.reproducible)",
            false};
  }
  const std::uint64_t missing = wanted - std::min(wanted, census.slots_free);
  const auto no_fit = [&](spec::PendingReason reason, std::string message, bool blocks) {
    return NoFit{reason, std::move(message), blocks, missing};
  };
  std::string numbers =
      Concat(Needs(job, min), "; ", census.slots_free, " of ", census.slots_total, " slots");
  if (MemoryPerRank(job) > 0) {
    const auto text = [](std::uint64_t bytes) {
      return FormatBytes({static_cast<std::int64_t>(bytes)});
    };
    numbers += Concat(" and ", text(census.memory_free), " of ", text(census.memory_total));
  }
  numbers += " are free";
  if (missing > 0)
    numbers += Concat(": ", missing, missing == 1 ? " slot is" : " slots are", " missing");
  if (!census.draining.empty()) numbers += Concat(" (", census.draining, " draining)");
  if (!census.held_when_empty) {
    const bool spread = census.slots_total >= wanted;
    return no_fit(
        spread ? spec::PendingReason::kFragmentation : spec::PendingReason::kResources,
        numbers + ", and the connected workers could not hold it in equal parts even when empty",
        false);
  }
  if (census.slots_free >= wanted && census.nodes_equal > 1) {
    return no_fit(spec::PendingReason::kFragmentation,
                  numbers + ", but not in equal parts on workers that compute the same bits", true);
  }
  return no_fit(spec::PendingReason::kResources, std::move(numbers), true);
}

// Of the nodes with so much disk free; nullopt when the gang does not fit.
std::optional<Placement> Find(const Job& job, const Plan& plan, std::uint64_t disk_bytes,
                              std::uint64_t slots_max) {
  if (disk_bytes > 0 && job.estimate->export_bytes > plan.FreeStore()) return std::nullopt;
  GangSizes sizes = SizesOf(job);
  sizes.max = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(sizes.max, slots_max / job.request.cpus_per_rank));
  if (sizes.max < sizes.min) return std::nullopt;
  RoomsByNumerics rooms;
  for (const auto& [id, node] : plan.ledger().nodes) {
    if (!IsOpen(node) || (disk_bytes > 0 && plan.FreeDisk(node) < disk_bytes)) continue;
    if (job.request.reproducible && !SameNumerics(job, node)) continue;
    const std::uint32_t free = plan.FreeSlots(node);
    const std::uint32_t ranks = RanksIn(free, plan.FreeMemory(node), job.request.cpus_per_rank,
                                        MemoryPerRank(job), sizes.max);
    if (ranks > 0) rooms[node.numerics_fingerprint].push_back({&node, ranks, free});
  }
  for (std::uint32_t size = std::bit_floor(sizes.max); size >= std::max(sizes.min, 1U); size /= 2) {
    Arrangement best;
    std::string_view numerics;
    for (const auto& [fingerprint, of_numerics] : rooms) {
      Arrangement found = Arrange(of_numerics, size, job.request.cpus_per_rank);
      if (!Better(found, best)) continue;
      best = std::move(found);
      numerics = fingerprint;
    }
    if (best.members.empty()) continue;
    const bool changed = !job.numerics_fingerprint.empty() && job.numerics_fingerprint != numerics;
    return Placement{size, std::move(best.members), std::string(numerics), changed};
  }
  return std::nullopt;
}

}  // namespace

std::string NoNodeText(const Ledger& ledger) {
  std::string draining;
  for (const auto& [id, node] : ledger.nodes) {
    if (IsOpen(node)) return "";
    if (node.state == NodeState::kUp) draining += (draining.empty() ? "" : ", ") + node.name;
  }
  if (draining.empty()) return "no worker is connected";
  return "every connected worker is draining: " + draining;
}

GangSizes SizesOf(const Job& job) {
  if (job.ranks_override != 0) return {job.ranks_override, job.ranks_override};
  return {job.request.ranks_min, job.request.ranks_max};
}

std::uint64_t MemoryPerRank(const Job& job) {
  if (job.request.memory_bytes_per_rank != 0) return job.request.memory_bytes_per_rank;
  return job.estimate ? job.estimate->memory_bytes_per_rank : 0;
}

std::variant<Placement, NoFit> Fit(const Job& job, const Plan& plan, std::uint64_t slots_max) {
  const std::uint64_t disk_bytes = DiskNeeded(job);
  if (auto placement = Find(job, plan, disk_bytes, slots_max)) return std::move(*placement);
  // Would it fit, were it not for the disk? Others may pass then: waiting alone makes no room.
  if (disk_bytes > 0 && Find(job, plan, 0, slots_max)) {
    std::string text = NoRoomText(job, plan);
    if (text.empty()) text = "the workers with free slots have too little disk free";
    return NoFit{spec::PendingReason::kResources, std::move(text), false};
  }
  return Why(job, SizesOf(job).min, plan);
}

bool HasRoom(const Job& job, const Plan& plan, std::uint64_t slots_max) {
  return Find(job, plan, DiskNeeded(job), slots_max).has_value();
}

Status LimitHolds(const JobRequest& request, const Estimate& estimate) {
  constexpr double kPredictionError = 0.15;
  const std::uint64_t limit = request.memory_bytes_per_rank;
  const std::uint64_t needed = estimate.memory_bytes_per_rank;
  if (limit == 0 ||
      static_cast<double>(needed) <= static_cast<double>(limit) * (1 + kPredictionError)) {
    return {};
  }
  return Fail(
      ErrorCode::kInvalid,
      Concat("needs about ", FormatBytes({static_cast<std::int64_t>(needed)}),
             " of memory a rank, its limit is ", FormatBytes({static_cast<std::int64_t>(limit)})),
      "resources.memory_per_rank",
      "raise it, or lower training.micro_batch_size or data.max_length");
}

Status CouldEverFit(const Ledger& ledger, const JobRequest& request, std::uint32_t size,
                    std::uint64_t memory_bytes_per_rank) {
  std::uint64_t slots_total = 0;
  std::uint64_t memory_total = 0;
  RoomsByNumerics rooms;
  for (const auto& [id, node] : ledger.nodes) {
    if (node.state == NodeState::kLeft) continue;
    slots_total += node.slots;
    memory_total += node.memory_bytes;
    const std::uint32_t ranks =
        RanksIn(node.slots, node.memory_bytes, request.cpus_per_rank, memory_bytes_per_rank, size);
    rooms[node.numerics_fingerprint].push_back({&node, ranks, node.slots});
  }
  if (rooms.empty()) return {};  // no worker yet
  for (const auto& [numerics, of_numerics] : rooms) {
    if (!Arrange(of_numerics, size, request.cpus_per_rank).members.empty()) return {};
  }
  const std::uint64_t slots = std::uint64_t{size} * request.cpus_per_rank;
  const std::uint64_t memory = size * memory_bytes_per_rank;
  const std::string asked =
      Concat("a gang of ", size, size == 1 ? " rank" : " ranks", " takes ", slots, " slots and ",
             FormatBytes({static_cast<std::int64_t>(memory)}));
  const std::string all =
      Concat("all registered workers together have ", slots_total, " slots and ",
             FormatBytes({static_cast<std::int64_t>(memory_total)}));
  if (slots_total >= slots && memory_total >= memory) {
    return Fail(ErrorCode::kInvalid,
                Concat(asked, "; ", all,
                       ", but not in equal parts on a power of two of workers "
                       "that compute the same bits"),
                "resources.ranks", "ask for fewer ranks");
  }
  return Fail(ErrorCode::kInvalid, Concat(asked, "; ", all), "resources.ranks",
              "ask for fewer ranks or add workers");
}

}  // namespace tutti::core
