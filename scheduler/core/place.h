// Where a gang goes: the whole of it now, on one node or in equal parts on several, or a reason why
// not. No threads.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/result.h"
#include "scheduler/core/plan.h"
#include "scheduler/core/state.h"

namespace tutti::core {

struct Placement {
  std::uint32_t size = 0;
  std::vector<GangMember> members;
  std::string numerics_fingerprint;
  bool bits_changed = false;
  bool operator==(const Placement&) const = default;
};

struct NoFit {
  spec::PendingReason reason = spec::PendingReason::kResources;
  std::string message;  // with the numbers
  // Registered nodes would hold it when others leave: it keeps its place at the head of the
  // queue. False: nothing here can ever run it as things are, so others may pass.
  bool blocks = false;
  Amount missing = {};  // of its smallest gang, where it may run
  bool operator==(const NoFit&) const = default;
};

struct GangSizes {
  std::uint32_t min = 1;
  std::uint32_t max = 1;
};
// Sizes the job may take now: its request's, or the override of a resume.
GangSizes SizesOf(const Job& job);
// What its smallest gang takes.
Amount SmallestOf(const Job& job);
// Bytes a rank books: as requested, else as predicted, else 0.
std::uint64_t MemoryPerRank(const Job& job);

// Why no node takes anything now: "no worker is connected", or that all drain; "" when one does.
std::string NoNodeText(const Ledger& ledger);

// Chooses the largest power of two that fits now, at most max, on the fewest machines: one, or a
// power of two of them with equally many ranks and equal numerics (their copies of the weights must
// stay equal), and only where the labels it wants are. With a topology label all its machines have
// one value of it; a machine without that label is alone. Among those, the ones that leave the
// fewest GPUs unused (who asks for none goes where there are none), then those with the fewest
// slots left over, then those that have the base model already, then the lowest ids.
// `most`: the gang takes no more, where that is less than it asked for.
std::variant<Placement, NoFit> Fit(const Job& job, const Plan& plan,
                                   const Amount& most = kAnyAmount);

// The same without the reason when there is none: costs what is looked at, not what is registered.
std::optional<Placement> TryFit(const Job& job, const Plan& plan, const Amount& most = kAnyAmount);
inline bool HasRoom(const Job& job, const Plan& plan, const Amount& most = kAnyAmount) {
  return TryFit(job, plan, most).has_value();
}
// Of a job that TryFit does not place: NoFit::blocks, likewise. So it is when not disks alone keep
// it waiting and its smallest gang would fit the open nodes, were they empty.
bool Blocks(const Job& job, const Plan& plan, const Amount& most = kAnyAmount);
bool LacksDiskOnly(const Job& job, const Plan& plan, const Amount& most = kAnyAmount);
bool FitsWhenEmpty(const Job& job, const Ledger& ledger);

// What of a job decides whether there is room for it. Two of the same have the same answer. Refers
// to the job.
struct Shape {
  std::uint32_t min = 1;
  std::uint32_t max = 1;
  std::uint32_t cpus_per_rank = 1;
  std::uint32_t gpus_per_rank = 0;
  std::uint64_t memory_bytes_per_rank = 0;
  std::uint64_t disk_bytes = 0;
  std::uint64_t export_bytes = 0;
  Amount most = kAnyAmount;
  std::string_view numerics;  // "" = any
  std::string_view topology;
  const std::map<std::string, std::string>* labels = nullptr;
  bool operator<(const Shape& other) const;
};
Shape ShapeOf(const Job& job, const Amount& most = kAnyAmount);
bool HasLabels(const Node& node, const std::map<std::string, std::string>& labels);

// kInvalid with the numbers when the prediction is so far beyond the request's own limit that an
// error of the prediction does not explain it.
Status LimitHolds(const JobRequest& request, const Estimate& estimate);

// kInvalid with the numbers when the registered nodes could not hold `size` ranks even when empty.
// Ok when no node is registered.
Status CouldEverFit(const Ledger& ledger, const JobRequest& request, std::uint32_t size,
                    std::uint64_t memory_bytes_per_rank);

}  // namespace tutti::core
