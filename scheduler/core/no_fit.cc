#include "scheduler/core/no_fit.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/base/units.h"

namespace tutti::core {
namespace {

using internal::Concat;

std::string BytesText(std::uint64_t bytes) {
  return FormatBytes({static_cast<std::int64_t>(bytes)});
}

std::string Needs(const Job& job, std::uint32_t ranks) {
  std::string text = Concat("needs ", ranks * job.request.cpus_per_rank, " slots (", ranks,
                            ranks == 1 ? " rank × " : " ranks × ", job.request.cpus_per_rank, ")");
  if (const std::uint64_t memory = MemoryPerRank(job); memory > 0) {
    text += Concat(" and ", BytesText(memory * ranks));
  }
  return text;
}

// "disk=ssd, rack=a".
std::string LabelsText(const std::map<std::string, std::string>& labels) {
  std::string text;
  for (const auto& [name, value] : labels) {
    text += Concat(text.empty() ? "" : ", ", name, "=", value);
  }
  return text;
}

struct Census {
  std::uint32_t nodes_open = 0;
  std::string draining;              // names of the others that are up
  std::uint32_t nodes_labelled = 0;  // open, with the labels the job wants
  std::uint32_t nodes_equal = 0;     // of those, with the numerics it needs
  std::uint64_t slots_total = 0;     // of those
  std::uint64_t slots_free = 0;
  std::uint64_t memory_total = 0;
  std::uint64_t memory_free = 0;
};

Census Count(const Job& job, const Plan& plan) {
  Census census;
  const bool equal_only = job.request.reproducible && !job.numerics_fingerprint.empty();
  for (const auto& [id, node] : plan.ledger().nodes) {
    if (node.state != NodeState::kUp) continue;
    if (node.draining) {
      census.draining += (census.draining.empty() ? "" : ", ") + node.name;
      continue;
    }
    ++census.nodes_open;
    if (!HasLabels(node, job.request.labels)) continue;
    ++census.nodes_labelled;
    if (equal_only && job.numerics_fingerprint != node.numerics_fingerprint) continue;
    ++census.nodes_equal;
    census.slots_total += node.slots;
    census.slots_free += plan.FreeSlots(node);
    census.memory_total += node.memory_bytes;
    census.memory_free += plan.FreeMemory(node);
  }
  return census;
}

// "needs 8 slots (8 ranks × 1) and 2.0 GiB; 4 of 8 slots and … are free: 4 slots are missing".
std::string Numbers(const Job& job, std::uint32_t min, const Census& census,
                    std::uint64_t missing) {
  std::string text =
      Concat(Needs(job, min), "; ", census.slots_free, " of ", census.slots_total, " slots");
  if (MemoryPerRank(job) > 0) {
    text += Concat(" and ", BytesText(census.memory_free), " of ", BytesText(census.memory_total));
  }
  text += " are free";
  if (missing > 0) {
    text += Concat(": ", missing, missing == 1 ? " slot is" : " slots are", " missing");
  }
  if (!census.draining.empty()) text += Concat(" (", census.draining, " draining)");
  return text;
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

NoFit WhyNot(const Job& job, const Plan& plan, bool blocks) {
  const std::uint32_t min = SizesOf(job).min;
  const Census census = Count(job, plan);
  const std::uint64_t wanted = SmallestOf(job);
  if (census.nodes_open == 0) {
    return {spec::PendingReason::kPoolDown, NoNodeText(plan.ledger()), false};
  }
  if (census.nodes_labelled == 0) {
    return {spec::PendingReason::kResources,
            Concat("no connected worker has the labels ", LabelsText(job.request.labels),
                   " (schedule.labels)"),
            false};
  }
  if (census.nodes_equal == 0) {
    return {spec::PendingReason::kNumerics,
            "no connected worker computes the same bits as the first attempt's "
            "(schedule.reproducible)",
            false};
  }
  const std::uint64_t missing = wanted - std::min(wanted, census.slots_free);
  std::string numbers = Numbers(job, min, census, missing);
  const std::string same = job.request.topology.empty()
                               ? std::string()
                               : " with one value of label " + job.request.topology;
  if (!blocks) {
    return {census.slots_total >= wanted ? spec::PendingReason::kFragmentation
                                         : spec::PendingReason::kResources,
            numbers + ", and the connected workers" + same +
                " could not hold it in equal parts even when empty",
            false, missing};
  }
  if (census.slots_free >= wanted && census.nodes_equal > 1) {
    return {spec::PendingReason::kFragmentation,
            numbers + ", but not in equal parts on workers that compute the same bits" + same, true,
            missing};
  }
  return {spec::PendingReason::kResources, std::move(numbers), true, missing};
}

Status LimitHolds(const JobRequest& request, const Estimate& estimate) {
  constexpr double kPredictionError = 0.15;
  const std::uint64_t limit = request.memory_bytes_per_rank;
  const std::uint64_t needed = estimate.memory_bytes_per_rank;
  if (limit == 0 ||
      static_cast<double>(needed) <= static_cast<double>(limit) * (1 + kPredictionError)) {
    return {};
  }
  return Fail(ErrorCode::kInvalid,
              Concat("needs about ", BytesText(needed), " of memory a rank, its limit is ",
                     BytesText(limit)),
              "resources.memory_per_rank",
              "raise it, or lower training.micro_batch_size or data.max_length");
}

Unexpected TooLarge(const Ledger& ledger, const JobRequest& request, std::uint32_t size,
                    std::uint64_t memory_bytes_per_rank) {
  std::uint64_t slots_total = 0;
  std::uint64_t memory_total = 0;
  for (const auto& [id, node] : ledger.nodes) {
    if (node.state == NodeState::kLeft) continue;
    slots_total += node.slots;
    memory_total += node.memory_bytes;
  }
  const std::uint64_t slots = std::uint64_t{size} * request.cpus_per_rank;
  const std::uint64_t memory = size * memory_bytes_per_rank;
  const std::string asked = Concat("a gang of ", size, size == 1 ? " rank" : " ranks", " takes ",
                                   slots, " slots and ", BytesText(memory));
  const std::string all = Concat("all registered workers together have ", slots_total,
                                 " slots and ", BytesText(memory_total));
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
