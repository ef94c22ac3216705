// Effects: what the coordinator does after the facts are durable. Idempotent, keyed by (job,
// attempt), repeated by later Steps for as long as they seem not to have arrived. Values.
#pragma once

#include <variant>

#include "common/base/ids.h"
#include "scheduler/core/facts.h"

namespace tutti::core {

// Send the node its part of the gang; spec, members and checkpoints are in the ledger.
struct LaunchGang {
  NodeId node;
  JobId job;
  Attempt attempt{};
  bool operator==(const LaunchGang&) const = default;
};

enum class StopMode { kCheckpoint, kKill };

struct StopGang {
  NodeId node;
  JobId job;
  Attempt attempt{};
  StopMode mode = StopMode::kCheckpoint;
  std::string why;  // "pause", …, "stale"
  bool operator==(const StopGang&) const = default;
};

// A checkpoint now, and on with it. Sent once: the one who asked may ask again.
struct CheckpointGang {
  NodeId node;  // of rank 0
  JobId job;
  Attempt attempt{};
  bool operator==(const CheckpointGang&) const = default;
};

// Run `inspect` for a validating job on this node.
struct InspectJob {
  NodeId node;
  JobId job;
  bool operator==(const InspectJob&) const = default;
};

// Assemble the model of a job that succeeded.
struct RegisterModel {
  JobId job;
  bool operator==(const RegisterModel&) const = default;
};

using Effect = std::variant<LaunchGang, StopGang, CheckpointGang, InspectJob, RegisterModel>;

// Whether workers do it; the coordinator itself does the others.
inline bool IsByWorker(const Effect& effect) {
  return !std::holds_alternative<RegisterModel>(effect);
}

}  // namespace tutti::core
