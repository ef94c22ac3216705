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

// "8 slots, 2 GPUs and 1.0 GiB": those that are not empty.
std::string Listed(const std::vector<std::string>& parts) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    text += i == 0 ? "" : i + 1 == parts.size() ? " and " : ", ";
    text += parts[i];
  }
  return text;
}

std::string Needs(const Job& job, std::uint32_t ranks) {
  const Amount all = AmountOf(job.request, ranks);
  const char* each = ranks == 1 ? " rank × " : " ranks × ";
  std::vector<std::string> parts{
      Concat(SlotsText(all.slots), " (", ranks, each, job.request.cpus_per_rank, ")")};
  if (all.gpus > 0) {
    parts.push_back(Concat(GpusText(all.gpus), " (", ranks, each, job.request.gpus_per_rank, ")"));
  }
  if (const std::uint64_t memory = MemoryPerRank(job); memory > 0) {
    parts.push_back(BytesText(memory * ranks));
  }
  return "needs " + Listed(parts);
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
  Amount total;                      // of those
  Amount free;
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
    const Room free = plan.Free(node);
    census.total += {node.slots, node.gpus};
    census.free += {free.slots, free.gpus};
    census.memory_total += node.memory_bytes;
    census.memory_free += plan.FreeMemory(node);
  }
  return census;
}

// "needs 8 slots (8 ranks × 1) and 2.0 GiB; 4 of 8 slots and … are free: 4 slots are missing".
std::string Numbers(const Job& job, std::uint32_t min, const Census& census,
                    const Amount& missing) {
  std::vector<std::string> parts{Concat(census.free.slots, " of ", census.total.slots, " slots")};
  if (AsksForGpus(job)) {
    parts.push_back(Concat(census.free.gpus, " of ", census.total.gpus, " GPUs"));
  }
  if (MemoryPerRank(job) > 0) {
    parts.push_back(Concat(BytesText(census.memory_free), " of ", BytesText(census.memory_total)));
  }
  std::string text = Concat(Needs(job, min), "; ", Listed(parts), " are free");
  std::vector<std::string> lacks;
  if (missing.slots > 0) lacks.push_back(SlotsText(missing.slots));
  if (missing.gpus > 0) lacks.push_back(GpusText(missing.gpus));
  if (!lacks.empty()) {
    const bool one = missing.slots + missing.gpus == 1;
    text += Concat(": ", Listed(lacks), one ? " is missing" : " are missing");
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
  const Amount wanted = SmallestOf(job);
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
  if (wanted.gpus > 0 && census.total.gpus == 0) {
    return {
        spec::PendingReason::kResources,
        Concat("asks for ", GpusText(job.request.gpus_per_rank), " a rank, and no connected worker",
               census.nodes_equal == census.nodes_open ? "" : " it may use", " has any"),
        false,
        {.gpus = wanted.gpus}};
  }
  const Amount missing = {wanted.slots - std::min(wanted.slots, census.free.slots),
                          wanted.gpus - std::min(wanted.gpus, census.free.gpus)};
  std::string numbers = Numbers(job, min, census, missing);
  const std::string same = job.request.topology.empty()
                               ? std::string()
                               : " with one value of label " + job.request.topology;
  if (!blocks) {
    return {Covers(census.total, wanted) ? spec::PendingReason::kFragmentation
                                         : spec::PendingReason::kResources,
            numbers + ", and the connected workers" + same +
                " could not hold it in equal parts even when empty",
            false, missing};
  }
  if (Covers(census.free, wanted) && census.nodes_equal > 1) {
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
  Amount total;
  std::uint64_t memory_total = 0;
  for (const auto& [id, node] : ledger.nodes) {
    if (node.state == NodeState::kLeft) continue;
    total += {node.slots, node.gpus};
    memory_total += node.memory_bytes;
  }
  if (request.gpus_per_rank > 0 && total.gpus == 0) {
    return Fail(ErrorCode::kInvalid,
                Concat("asks for ", GpusText(request.gpus_per_rank),
                       " a rank, and no registered worker has any"),
                "resources.gpus_per_rank", "add workers with GPUs, or ask for none");
  }
  const Amount wanted = AmountOf(request, size);
  const std::uint64_t memory = size * memory_bytes_per_rank;
  const auto sum = [&](const Amount& amount, std::uint64_t bytes) {
    std::vector<std::string> parts{SlotsText(amount.slots)};
    if (wanted.gpus > 0) parts.push_back(GpusText(amount.gpus));
    parts.push_back(BytesText(bytes));
    return Listed(parts);
  };
  const std::string asked =
      Concat("a gang of ", size, size == 1 ? " rank" : " ranks", " takes ", sum(wanted, memory));
  const std::string all = "all registered workers together have " + sum(total, memory_total);
  if (Covers(total, wanted) && memory_total >= memory) {
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
