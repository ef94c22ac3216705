#include "scheduler/core/disk.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/base/units.h"

namespace tutti::core {
namespace {

using internal::Concat;

std::string Text(std::uint64_t bytes) { return FormatBytes({static_cast<std::int64_t>(bytes)}); }

constexpr const char* kParts = " (its checkpoints, one being written, the exported model)";
constexpr const char* kHint =
    "a smaller training.save_total_limit or larger save_steps needs less; or add disk";

}  // namespace

std::uint64_t DiskNeeded(const Job& job) {
  if (!job.estimate) return 0;
  const Estimate& estimate = *job.estimate;
  if (job.checkpoints.empty()) return estimate.disk_bytes;
  const std::uint64_t each = std::max<std::uint64_t>(job.checkpoints.back().size_bytes, 1);
  const std::uint64_t all =
      estimate.disk_bytes - std::min(estimate.disk_bytes, estimate.export_bytes);
  // Of those recorded, the ones that are kept; never the place of the next one.
  const std::uint64_t kept = all / each;
  const std::uint64_t there =
      std::min<std::uint64_t>(job.checkpoints.size(), kept > 0 ? kept - 1 : 0);
  return estimate.disk_bytes - std::min(estimate.disk_bytes, there * each);
}

Status CouldEverHold(const State& state, const Estimate& estimate) {
  std::uint64_t largest = 0;
  bool known = false;
  for (const auto& [id, node] : state.ledger.nodes) {
    if (node.state == NodeState::kLeft) continue;
    if (node.disk_bytes == 0) return {};
    known = true;
    largest = std::max(largest, node.disk_bytes);
  }
  if (known && estimate.disk_bytes > largest) {
    return Fail(ErrorCode::kInvalid,
                Concat("needs ", Text(estimate.disk_bytes), " of disk", kParts,
                       "; the largest disk of a registered worker has ", Text(largest)),
                "training.save_total_limit", kHint);
  }
  const std::uint64_t store = state.liveness.store_disk_bytes;
  if (store != 0 && estimate.export_bytes > store) {
    return Fail(ErrorCode::kInvalid,
                Concat("the exported model takes ", Text(estimate.export_bytes),
                       "; the coordinator's disk has ", Text(store)),
                {}, "give the cluster a data directory on a larger disk");
  }
  return {};
}

std::string NoRoomText(const Job& job, const Plan& plan) {
  const std::uint64_t exported = job.estimate ? job.estimate->export_bytes : 0;
  if (exported > plan.FreeStore()) {
    return Concat("the exported model takes ", Text(exported), "; the coordinator's disk has ",
                  Text(plan.FreeStore()), " free");
  }
  const std::uint64_t needed = DiskNeeded(job);
  std::uint64_t most = 0;
  for (const auto& [id, node] : plan.ledger().nodes) {
    if (!IsOpen(node)) continue;
    const std::uint64_t free = plan.FreeDisk(node);
    if (free >= needed) return "";
    most = std::max(most, free);
  }
  return Concat("needs ", Text(needed), " of disk", kParts, "; the worker with the most has ",
                Text(most), " free");
}

}  // namespace tutti::core
