// Where a gang goes: the whole of it now, on one node or in equal parts on several, or a reason why
// not. No threads.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
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
  std::uint64_t missing_slots = 0;  // of its smallest gang, where it may run
  bool operator==(const NoFit&) const = default;
};

struct GangSizes {
  std::uint32_t min = 1;
  std::uint32_t max = 1;
};
// Sizes the job may take now: its request's, or the override of a resume.
GangSizes SizesOf(const Job& job);
// Bytes a rank books: as requested, else as predicted, else 0.
std::uint64_t MemoryPerRank(const Job& job);

// Why no node takes anything now: "no worker is connected", or that all drain; "" when one does.
std::string NoNodeText(const Ledger& ledger);

// Chooses the largest power of two that fits now, at most max, on the fewest machines: one, or a
// power of two of them with equally many ranks and equal numerics (their copies of the weights must
// stay equal). Among those, the ones with the fewest slots left over, then the lowest ids.
// `slots_max`: the gang takes no more, where that is fewer than it asked for.
std::variant<Placement, NoFit> Fit(
    const Job& job, const Plan& plan,
    std::uint64_t slots_max = std::numeric_limits<std::uint64_t>::max());

// Whether Fit finds a placement, without the reason when it does not.
bool HasRoom(const Job& job, const Plan& plan,
             std::uint64_t slots_max = std::numeric_limits<std::uint64_t>::max());

// kInvalid with the numbers when the prediction is so far beyond the request's own limit that an
// error of the prediction does not explain it.
Status LimitHolds(const JobRequest& request, const Estimate& estimate);

// kInvalid with the numbers when the registered nodes could not hold `size` ranks even when empty.
// Ok when no node is registered.
Status CouldEverFit(const Ledger& ledger, const JobRequest& request, std::uint32_t size,
                    std::uint64_t memory_bytes_per_rank);

}  // namespace tutti::core
