// The ledger: all durable state of the scheduler, and Apply, the only way it changes.
//
// Owned by the coordinator's writer thread (or by a test, or the simulator); others read it only
// where that thread lets them. replay(facts) == ledger: no state comes from anywhere else.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "common/base/lookup_table.h"
#include "scheduler/core/facts.h"
#include "scheduler/core/learned.h"
#include "scheduler/core/nodes.h"

namespace tutti::core {

inline constexpr std::size_t kFinishedJobsMax = 10'000;
inline constexpr std::size_t kLiveJobsMax = 100'000;
inline constexpr std::size_t kNodesMax = 10'000;
inline constexpr std::size_t kAttemptRecordsMax = 100;    // newest kept, a job
inline constexpr std::size_t kCheckpointRecordsMax = 16;  // newest kept, a job, and the best

// What one attempt's ranks take of the nodes, from GangPlaced until the attempt ends.
struct Gang {
  Attempt attempt{};
  std::uint32_t size = 0;
  std::vector<GangMember> members;
  std::uint64_t memory_bytes_per_rank = 0;  // as booked on the nodes
  bool operator==(const Gang&) const = default;
};

// ---- a job's state: its data exists only in that state ----------------------------------------

struct Validating {
  bool operator==(const Validating&) const = default;
};
struct Queued {
  bool recovering = false;  // the attempt before failed
  bool operator==(const Queued&) const = default;
};
struct Starting {
  Gang gang;
  bool recovering = false;
  bool operator==(const Starting&) const = default;
};
struct Running {
  Gang gang;
  std::uint64_t from_step = 0;
  bool operator==(const Running&) const = default;
};
struct Stopping {
  Gang gang;
  StopWhy why = StopWhy::kPause;
  bool operator==(const Stopping&) const = default;
};
struct Paused {
  bool operator==(const Paused&) const = default;
};
struct Succeeded {
  std::string model_digest;
  std::vector<ModelFile> files;
  std::string metrics_json;
  bool operator==(const Succeeded&) const = default;
};
struct Failed {
  spec::FailureReason reason = spec::FailureReason::kCrash;
  std::string message;
  std::string where;
  bool operator==(const Failed&) const = default;
};
struct Cancelled {
  std::string message;  // why, when no user asked for it
  bool operator==(const Cancelled&) const = default;
};
using Phase = std::variant<Validating, Queued, Starting, Running, Stopping, Paused, Succeeded,
                           Failed, Cancelled>;

enum class AttemptEnd { kNone, kSucceeded, kReleased, kFailed };

struct AttemptRecord {
  Attempt attempt{};
  std::uint32_t ranks = 0;
  std::vector<NodeId> nodes;
  bool bits_changed = false;
  WallTime placed_at;
  std::optional<WallTime> started_at;
  std::optional<WallTime> ended_at;
  AttemptEnd end = AttemptEnd::kNone;
  std::optional<StopWhy> stop_why;             // of kReleased
  std::optional<spec::FailureReason> failure;  // of kFailed
  std::string message;
  std::uint64_t from_step = 0;
  std::uint64_t last_step = 0;
  std::uint64_t ran_ms = 0;    // when it has ended; monotonic
  std::uint64_t steps_ms = 0;  // of it, its steps and what lay between them; 0 = not known
  double pace = 0;             // of the cluster when it ended, where steps_ms is known
  bool operator==(const AttemptRecord&) const = default;
};

struct CheckpointRecord {
  Attempt attempt{};
  std::uint64_t step = 0;
  std::string path;
  std::string state_digest;
  std::uint64_t size_bytes = 0;
  WallTime committed_at;
  CheckpointFiles files = {};
  bool operator==(const CheckpointRecord&) const = default;
};

struct Job {
  JobId id;
  std::uint64_t sequence = 0;  // of submission: 1, 2, …
  std::uint64_t clock_ms = 0;  // Sharing::clock_ms at the submission
  JobRequest request;          // priority: the current one
  std::string spec_json;
  std::string idempotency_key;
  std::string body_digest;
  bool held = false;
  WallTime submitted_at;
  WallTime since;  // of the present phase
  std::optional<WallTime> finished_at;
  Phase phase;
  std::optional<Estimate> estimate;      // since JobAdmitted
  Attempt attempt{};                     // the newest; 0 = none yet
  std::uint32_t ranks_override = 0;      // 0 = request's min..max
  std::string numerics_fingerprint;      // of the first attempt
  std::uint32_t fruitless_attempts = 0;  // consecutive failures without a new checkpoint
  bool attempt_progressed = false;       // the newest attempt committed a new checkpoint
  std::uint64_t ran_ms = 0;              // over all ended attempts
  std::uint64_t memory_peak_bytes = 0;
  std::vector<AttemptRecord> attempts;        // oldest first
  std::vector<CheckpointRecord> checkpoints;  // oldest first, steps ascending
  std::set<JobId> waits_for;                  // Outstanding, while it is unfinished
  std::vector<double> rungs;                  // of a trial: its metric at each rung it reached
  bool operator==(const Job&) const = default;
};

// Whose share its slots count for.
inline QueueUser WhoOf(const Job& job) { return {job.request.queue, job.request.user}; }
inline bool AsksForGpus(const Job& job) { return job.request.gpus_per_rank > 0; }
// Whether a queued job may be placed as far as it itself goes.
inline bool MayStart(const Job& job) { return !job.held && job.waits_for.empty(); }
// A trial that its sweep paused at a rung.
bool IsAtRung(const Job& job);
// The gang that holds slots (and GPUs) now, or nullptr.
const Gang* ActiveGang(const Job& job);
bool IsFinished(const Job& job);

// ---- what the queue is ordered by -------------------------------------------------------------

// Most urgent first (by priority, and by how long it waits), then oldest first.
struct QueueKey {
  std::int64_t urgency_ms = 0;
  std::uint64_t sequence = 0;
  JobId job;
  bool operator==(const QueueKey&) const = default;
  bool operator<(const QueueKey& other) const {
    if (urgency_ms != other.urgency_ms) return urgency_ms > other.urgency_ms;
    return sequence < other.sequence;
  }
};

// Least work left first; who has waited for long counts as having less.
struct WorkKey {
  std::uint64_t work_ms = 0;
  std::uint64_t sequence = 0;
  JobId job;
  auto operator<=>(const WorkKey&) const = default;
};

struct Ledger {
  LookupTable<JobId, Job> jobs;  // by_sequence has all of them in an order
  std::map<NodeId, Node> nodes;
  std::uint64_t generation = 0;
  std::uint64_t last_sequence = 0;  // of the newest submission
  std::uint64_t facts_applied = 0;
  Sharing sharing;
  Learned learned;

  // Indices, maintained by Apply.
  std::set<QueueKey> validating;
  std::set<QueueKey> queued;                          // those that may not start too
  std::map<QueueUser, std::set<QueueKey>> queued_by;  // likewise
  std::map<QueueUser, std::set<WorkKey>> work_by;     // likewise
  std::size_t queued_for_gpus = 0;                    // of those that ask for GPUs
  std::map<QueueUser, Amount> held_by;                // by gangs
  std::set<JobId> active;                             // with a gang
  NodeIndex node_index;
  std::map<JobId, std::set<JobId>> dependents;     // unfinished jobs, by what they wait for
  std::map<std::string, std::set<JobId>> trials;   // by sweep
  std::map<std::string, std::set<JobId>> at_rung;  // paused there, by sweep
  std::map<std::uint64_t, JobId> by_sequence;
  std::map<std::string, std::set<std::uint64_t>> by_name;  // -> sequences
  LookupTable<std::string, JobId> by_idempotency_key;
  std::map<std::string, NodeId> node_by_name;
  std::map<std::uint64_t, JobId> finished;  // in the order of finishing
  std::uint64_t last_finished = 0;

  bool operator==(const Ledger&) const = default;
};

// Changes `ledger` as `fact` says. A fact that does not follow from the ledger is a bug (or a
// damaged journal) and stops the program; Objection tells beforehand.
void Apply(Ledger& ledger, const Fact& fact);

// Whether Apply would accept `fact`: "" or what is wrong with it. For a journal's reader.
std::string Objection(const Ledger& ledger, const Fact& fact);

const Job* FindJob(const Ledger& ledger, JobId id);
// Of what a request depends on, the jobs that have not succeeded. One that is archived had: with
// one that did not, the jobs that wait for it are cancelled.
std::set<JobId> Outstanding(const Ledger& ledger, const JobRequest& request);
// What of the indices follows from one job's phase: in (or out) with it.
void IndexPhase(Ledger& ledger, const Job& job);
void UnindexPhase(Ledger& ledger, const Job& job);
// What so many ranks of the job take; what its gang does.
Amount AmountOf(const JobRequest& request, std::uint32_t ranks);
inline Amount AmountOf(const Job& job, const Gang& gang) {
  return AmountOf(job.request, gang.size);
}
// By id, unique prefix of an id, or name (the newest of that name).
const Job* FindJobByText(const Ledger& ledger, std::string_view text);
const Node* FindNode(const Ledger& ledger, NodeId id);

}  // namespace tutti::core
