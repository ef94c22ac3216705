// The facts about nodes and about how the cluster is shared, by administrators and over time: part
// of facts.h, which says what facts are. Values without threads.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "scheduler/core/queues.h"

namespace tutti::core {

// ---- a node ----------------------------------------------------------------------------------

// A worker (re-)registered: the node is up with these resources.
struct NodeRegistered {
  NodeId node;
  std::string name;
  std::uint64_t session = 0;  // of the worker process
  std::string version;
  std::uint32_t slots = 0;
  std::uint32_t cores = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t disk_bytes = 0;  // 0 = not known
  std::string cpu_model;
  std::string numerics_fingerprint;
  WallTime at;
  std::map<std::string, std::string> labels = {};
  std::uint32_t gpus = 0;
  std::string gpu_model = {};
  bool operator==(const NodeRegistered&) const = default;
};

// Not seen for the reassignment delay. Its gangs' AttemptFailed come first.
struct NodeLost {
  NodeId node;
  WallTime at;
  bool operator==(const NodeLost&) const = default;
};

// A clean goodbye. Its gangs' facts come first.
struct NodeLeft {
  NodeId node;
  WallTime at;
  bool operator==(const NodeLeft&) const = default;
};

// While draining nothing is placed on it, over restarts too. Its gangs' StopRequested follow.
struct NodeDrained {
  NodeId node;
  bool draining = false;  // false: it takes gangs again
  WallTime at;
  bool operator==(const NodeDrained&) const = default;
};

// ---- how the cluster is shared --------------------------------------------------------------

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
