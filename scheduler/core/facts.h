// Facts: every durable change of the scheduler, one small struct each. The journal holds them in
// order; Apply (ledger.h) is the only thing they do. Flat values: ids, integers, strings, vectors.
//
// `at` is for people: no decision reads it. Values without threads: copy freely.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "jobs/spec/states.h"
#include "scheduler/core/cluster_facts.h"
#include "scheduler/core/request.h"

namespace tutti::core {

// ---- a job -----------------------------------------------------------------------------------

// -> validating. Acknowledged to the submitter once durable.
struct JobSubmitted {
  JobId job;
  JobRequest request;
  std::string spec_json;        // resolved, with inputs
  std::string idempotency_key;  // "" = none
  std::string body_digest;      // of the request's body, to tell a repeat from another one
  bool held = false;
  WallTime at;
  bool operator==(const JobSubmitted&) const = default;
};

// validating -> queued.
struct JobAdmitted {
  JobId job;
  Estimate estimate;
  WallTime at;
  bool operator==(const JobAdmitted&) const = default;
};

// validating -> failed.
struct JobRejected {
  JobId job;
  spec::FailureReason reason = spec::FailureReason::kData;
  std::string message;
  std::string where;  // file:line, when inspect said one
  WallTime at;
  bool operator==(const JobRejected&) const = default;
};

// queued -> starting. The members hold slots from now on; members' ranks sum up to size.
struct GangPlaced {
  JobId job;
  Attempt attempt{};
  std::uint32_t size = 0;
  std::vector<GangMember> members;  // in rank order
  std::string numerics_fingerprint;
  bool bits_changed = false;  // another fingerprint than the first attempt's
  WallTime at;
  bool operator==(const GangPlaced&) const = default;
};

// starting -> running: every rank is ready for its first step.
struct GangStarted {
  JobId job;
  Attempt attempt{};
  std::uint64_t from_step = 0;  // 0, or the checkpoint it went on from
  WallTime at;
  bool operator==(const GangStarted&) const = default;
};

// starting, running or stopping -> stopping. The newest reason counts.
struct StopRequested {
  JobId job;
  Attempt attempt{};
  StopWhy why = StopWhy::kPause;
  WallTime at;
  bool operator==(const StopRequested&) const = default;
};

// Both files are durable. All older ones but the newest `keep` and that of `best_step` are gone.
struct CheckpointCommitted {
  JobId job;
  Attempt attempt{};
  std::uint64_t step = 0;
  std::string path;
  std::string state_digest;
  std::uint64_t size_bytes = 0;
  WallTime at;
  CheckpointFiles files = {};
  std::uint64_t best_step = 0;  // 0 = none
  std::uint32_t keep = 0;       // 0 = all
  bool operator==(const CheckpointCommitted&) const = default;
};

// The gang ended as asked (or its worker was, then `why` is kDrain) and its slots are free:
// starting, running or stopping -> queued. Never counts as a failure. JobPaused, JobCancelled or
// JobFailed may follow at once.
struct GangReleased {
  JobId job;
  Attempt attempt{};
  StopWhy why = StopWhy::kPause;
  std::uint64_t step = 0;    // the last completed step
  std::uint64_t ran_ms = 0;  // monotonic time this attempt ran, for max_duration
  WallTime at;
  std::uint64_t steps_ms = 0;  // of it, its steps and what lay between them; 0 = not known
  bool operator==(const GangReleased&) const = default;
};

// The gang ended otherwise and its slots are free: starting, running or stopping -> queued
// (shown as recovering). JobFailed follows at once when the retry policy is exhausted.
struct AttemptFailed {
  JobId job;
  Attempt attempt{};
  spec::FailureReason reason = spec::FailureReason::kCrash;
  std::string message;
  std::uint64_t step = 0;
  std::uint64_t ran_ms = 0;
  WallTime at;
  std::uint64_t steps_ms = 0;
  bool operator==(const AttemptFailed&) const = default;
};

// starting, running or stopping -> succeeded; the gang's slots are free.
struct JobSucceeded {
  JobId job;
  Attempt attempt{};
  std::string model_digest;  // SPEC.md: of model.safetensors
  std::vector<ModelFile> files;
  std::string metrics_json;  // {"accuracy": 0.7, …}
  std::uint64_t memory_peak_bytes = 0;
  std::uint64_t step = 0;
  std::uint64_t ran_ms = 0;
  WallTime at;
  std::uint64_t launch_ms = 0;  // of ran_ms, before its steps; where steps_ms is known
  std::uint64_t steps_ms = 0;
  bool operator==(const JobSucceeded&) const = default;
};

// queued -> failed.
struct JobFailed {
  JobId job;
  spec::FailureReason reason = spec::FailureReason::kCrash;
  std::string message;
  WallTime at;
  bool operator==(const JobFailed&) const = default;
};

// validating, queued or paused -> cancelled.
struct JobCancelled {
  JobId job;
  WallTime at;
  std::string message = {};  // why, when no user asked for it
  bool operator==(const JobCancelled&) const = default;
};

// queued -> paused.
struct JobPaused {
  JobId job;
  WallTime at;
  bool operator==(const JobPaused&) const = default;
};

// paused -> queued.
struct JobResumed {
  JobId job;
  std::uint32_t ranks = 0;  // the gang's size from now on; 0 = as the request says
  WallTime at;
  bool operator==(const JobResumed&) const = default;
};

// The gang's size from now on. StopRequested{kResize} follows for a gang of another size.
struct JobResized {
  JobId job;
  std::uint32_t ranks = 0;
  WallTime at;
  bool operator==(const JobResized&) const = default;
};

// A held job may be placed from now on.
struct HoldReleased {
  JobId job;
  WallTime at;
  bool operator==(const HoldReleased&) const = default;
};

struct JobPriorityChanged {
  JobId job;
  std::int64_t priority = 0;
  WallTime at;
  bool operator==(const JobPriorityChanged&) const = default;
};

// A trial's evaluation at a rung of its sweep: the first one at or after that step.
struct RungReached {
  JobId job;
  Attempt attempt{};
  std::uint32_t rung = 0;  // 0, 1, … without gaps
  std::uint64_t step = 0;
  double value = 0;  // of the sweep's metric; finite
  WallTime at;
  bool operator==(const RungReached&) const = default;
};

// Its schedule.reproducible is false from now on.
struct OtherNumericsAllowed {
  JobId job;
  WallTime at;
  bool operator==(const OtherNumericsAllowed&) const = default;
};

// A finished job leaves the ledger for the archive.
struct JobArchived {
  JobId job;
  WallTime at;
  bool operator==(const JobArchived&) const = default;
};

using Fact =
    std::variant<JobSubmitted, JobAdmitted, JobRejected, GangPlaced, GangStarted, StopRequested,
                 CheckpointCommitted, GangReleased, AttemptFailed, JobSucceeded, JobFailed,
                 JobCancelled, JobPaused, JobResumed, JobResized, HoldReleased, JobPriorityChanged,
                 OtherNumericsAllowed, JobArchived, NodeRegistered, NodeLost, NodeLeft, NodeDrained,
                 CoordinatorStarted, QueueSet, PolicySet, UsageCharged, RungReached>;

}  // namespace tutti::core
