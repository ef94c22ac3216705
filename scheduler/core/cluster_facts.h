// The facts about how the cluster is shared, by administrators and over time: part of facts.h,
// which says what facts are. Values without threads.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/time.h"
#include "scheduler/core/queues.h"

namespace tutti::core {

// A queue is so from now on.
struct QueueSet {
  std::string name;
  QueueConfig config;
  WallTime at;
  bool operator==(const QueueSet&) const = default;
};

// The policy that orders the queue from now on.
struct PolicySet {
  std::string policy;
  WallTime at;
  bool operator==(const PolicySet&) const = default;
};

// So much time passed since the last one; what gangs hold is charged to their users for the second.
struct UsageCharged {
  std::uint64_t passed_ms = 0;
  std::uint64_t charged_ms = 0;
  WallTime at;
  bool operator==(const UsageCharged&) const = default;
};

// ---- the coordinator -------------------------------------------------------------------------

struct CoordinatorStarted {
  std::uint64_t generation = 0;  // grows by one at each start
  WallTime at;
  bool operator==(const CoordinatorStarted&) const = default;
};

}  // namespace tutti::core
