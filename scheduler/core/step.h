// Step: decides. Reads the state, changes nothing, says which facts and effects follow from one
// input. Deterministic: the same state, input and instant give the same outcome. No threads.
#pragma once

#include <variant>
#include <vector>

#include "common/base/result.h"
#include "scheduler/core/effects.h"
#include "scheduler/core/inputs.h"
#include "scheduler/core/state.h"

namespace tutti::core {

struct JobReply {
  JobId job;
  bool created = false;  // by this Submit, not by an earlier one with the same key
  bool operator==(const JobReply&) const = default;
};
struct NodeReply {
  NodeId node;
  bool operator==(const NodeReply&) const = default;
};
struct SweepReply {
  std::vector<JobId> jobs;  // of its trials
  bool created = false;     // by this SubmitSweep, not by an earlier one with the same keys
  bool operator==(const SweepReply&) const = default;
};
using Reply = std::variant<std::monostate, JobReply, NodeReply, SweepReply>;

struct Outcome {
  std::vector<Fact> facts;          // to apply and journal, in this order, before anything else
  std::vector<Effect> effects;      // after they are durable; then Observe each
  std::vector<Sighting> sightings;  // to Observe with the facts
  Reply reply;
};

// An error is the answer to the one who sent the input; nothing changed.
//   kNotFound no such job or node · kConflict the state forbids it, a key used with another body
//   kInvalid impossible request · kQuota a limit is reached
Result<Outcome> Step(const State& state, const Input& input, Instant now);

}  // namespace tutti::core
