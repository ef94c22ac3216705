// Inputs: everything that makes the scheduler decide. Random bits and wall time arrive inside.
// Values without threads.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "scheduler/core/facts.h"
#include "scheduler/core/liveness.h"

namespace tutti::core {

// ---- from users ------------------------------------------------------------------------------

struct Submit {
  JobId job;  // fresh random bits; kConflict when taken
  JobRequest request;
  std::string spec_json;
  std::string idempotency_key;
  std::string body_digest;
  bool held = false;
};
inline constexpr std::size_t kTrialsMax = 1000;  // of a sweep
// All trials of a sweep, or none. Each has its own idempotency key.
struct SubmitSweep {
  std::vector<Submit> trials;
};
struct Cancel {
  JobId job;
};
struct Pause {
  JobId job;
};
struct Resume {
  JobId job;
  std::uint32_t ranks = 0;  // 0 = as the request says
};
// A running gang of another size stops with a checkpoint and is placed anew; a job that waits takes
// this size when it is placed.
struct Resize {
  JobId job;
  std::uint32_t ranks = 0;
};
// A running gang checkpoints at its next step boundary and goes on.
struct CheckpointNow {
  JobId job;
};
struct ReleaseHold {
  JobId job;
};
struct SetPriority {
  JobId job;
  std::int64_t priority = 0;
};
// From now on any CPU and engine will do for the job, though its weights will differ in their last
// bits: no worker that computes as its first attempt did may come back.
struct AllowOtherNumerics {
  JobId job;
};
// Every gang checkpoints and goes back to the queue. Observe(DrainBegun) comes first.
struct DrainAll {};

// The node's gangs checkpoint and are placed elsewhere, and nothing is placed on it any more; or it
// takes gangs again.
struct DrainNode {
  NodeId node;
  bool drain = true;
};

// A queue is made, or changed.
struct SetQueue {
  std::string name;
  QueueConfig config;
};
// The policy of the cluster, by name.
struct SetPolicy {
  std::string policy;
};

// ---- from workers ----------------------------------------------------------------------------

// Observe(WorkerSeen) comes after the reply named the node.
struct RegisterNode {
  NodeId node;  // fresh random bits, used when the name is new
  std::string name;
  std::uint64_t session = 0;
  std::string version;
  std::uint32_t slots = 0;
  std::uint32_t cores = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t disk_bytes = 0;
  std::string cpu_model;
  std::string numerics_fingerprint;
  std::vector<GangSeen> gangs;
  std::map<std::string, std::string> labels = {};
  std::uint32_t gpus = 0;
  std::string gpu_model = {};
};
// Observe(WorkerSeen) came first: launches and stops that seem lost are repeated.
struct Heartbeat {
  NodeId node;
};
struct Goodbye {
  NodeId node;
};
struct ReportStarted {
  NodeId node;
  JobId job;
  Attempt attempt{};
  std::uint64_t from_step = 0;
};
struct ReportCheckpoint {
  NodeId node;
  JobId job;
  Attempt attempt{};
  std::uint64_t step = 0;
  std::string path;
  std::string state_digest;
  std::uint64_t size_bytes = 0;
  CheckpointFiles files = {};
  std::uint64_t best_step = 0;
  std::uint32_t keep = 0;
};
// An evaluation of a trial's active attempt, by the sweep's metric.
struct ReportEval {
  JobId job;
  Attempt attempt{};
  std::uint64_t step = 0;
  double value = 0;
};
enum class GangOutcome { kSucceeded, kReleased, kFailed, kKilled };
struct ReportEnded {
  NodeId node;
  JobId job;
  Attempt attempt{};
  GangOutcome outcome = GangOutcome::kFailed;
  spec::FailureReason reason = spec::FailureReason::kCrash;  // of kFailed
  std::string message;
  std::uint64_t step = 0;
  std::uint64_t memory_peak_bytes = 0;
  std::string model_digest;  // of kSucceeded, with the next two
  std::vector<ModelFile> files;
  std::string metrics_json;
};
enum class InspectOutcome { kAdmitted, kRejected, kUnavailable };
struct InspectFinished {
  JobId job;
  InspectOutcome outcome = InspectOutcome::kUnavailable;
  Estimate estimate;                                        // of kAdmitted
  spec::FailureReason reason = spec::FailureReason::kData;  // of kRejected
  std::string message;
  std::string where;
};

// ---- from the loop ---------------------------------------------------------------------------

// Once a start, the first input. CoordinatorStarted carries ledger.generation + 1.
struct CoordinatorStart {};
// At the end of every round, and at least every kTickIntervalMs: deadlines, inspection, placement.
struct Tick {};

struct Input {
  WallTime at;  // for people
  std::variant<Submit, SubmitSweep, Cancel, Pause, Resume, Resize, CheckpointNow, ReleaseHold,
               SetPriority, AllowOtherNumerics, DrainAll, DrainNode, SetQueue, SetPolicy,
               RegisterNode, Heartbeat, Goodbye, ReportStarted, ReportCheckpoint, ReportEval,
               ReportEnded, InspectFinished, CoordinatorStart, Tick>
      body;
};

inline constexpr std::int64_t kTickIntervalMs = 250;

}  // namespace tutti::core
