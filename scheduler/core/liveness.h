// Liveness: what is known of workers from their heartbeats, and when effects were last sent.
// Volatile, never journaled: it starts empty with each coordinator. Observe is the only writer.
//
// Owned by the coordinator's writer thread.
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "scheduler/core/effects.h"

namespace tutti::core {

struct Ledger;

// A rank that holds its gang up.
struct StallSeen {
  std::uint32_t rank = 0;  // of the gang
  bool stopped = false;    // by a signal
  std::string phase = {};
  std::string collective = {};  // that it holds up
  std::uint64_t sequence = 0;   // of that collective
  std::uint64_t step = 0;
  double silent_seconds = 0;  // when the heartbeat was sent
  std::string message = {};
  bool operator==(const StallSeen&) const = default;
};

struct GangSeen {
  JobId job;
  Attempt attempt{};
  bool stopping = false;
  std::vector<std::uint32_t> rank_pids;  // by local rank
  std::vector<StallSeen> stalls = {};
  std::uint64_t memory_bytes = 0;            // resident, of the largest rank
  std::vector<double> compute_seconds = {};  // of a step, by local rank; empty = not known yet
  bool operator==(const GangSeen&) const = default;
};

struct NodeSeen {
  Instant last_seen;
  WallTime last_seen_at;  // for people
  std::uint64_t session = 0;
  std::vector<GangSeen> gangs;
  std::uint64_t memory_used_bytes = 0;
  std::uint64_t disk_free_bytes = 0;
  double cpu_seconds = 0;
  std::uint32_t pid = 0;
  std::uint32_t zygote_pid = 0;
};

struct GangKey {
  JobId job;
  Attempt attempt{};
  auto operator<=>(const GangKey&) const = default;
};

// A gang the ledger holds, as far as this coordinator's life has seen it.
struct GangTrack {
  Instant first_noticed;             // placed, or found in the ledger after a restart
  std::map<NodeId, Instant> listed;  // by whose heartbeats or report of its start, and when last
  std::uint32_t launches_sent = 0;
  Instant launch_sent;
  std::uint32_t stops_sent = 0;
  bool kill_sent = false;
  Instant stop_sent;
  std::optional<Instant> started;  // all ranks were ready for their first step; here, not before
  std::optional<Instant> end;      // predicted
};

struct InspectTrack {
  NodeId node;
  std::uint64_t session = 0;
  Instant sent;
  bool in_flight = false;
  std::uint32_t failures = 0;  // answers that said nothing about the job
};

// How far a running gang is, by its newest word.
struct ProgressSeen {
  JobId job;
  Attempt attempt{};
  std::uint64_t step = 0;
  double step_ms = 0;             // 0 = not known
  double prior_step_ms = 0;       // as admission predicted it on so many ranks; 0 = it did not
  std::uint64_t total_steps = 0;  // likewise
  Duration ending{};              // predicted: from its last step until it is gone
  Instant heard{};                // set when it is observed
  double weight = 0;              // likewise: of its pace, from 0 to 1
};

// How much longer the steps of gangs that take some take now than admission predicted.
struct PaceNow {
  double sum = 0;     // of weight * ln(time / prediction), one of each gang
  double weight = 0;  // of all of them
  int gangs = 0;      // it is made of
};

struct Liveness {
  Instant started;                          // of this coordinator: grace for nodes not seen yet
  bool draining = false;                    // nothing new starts
  std::uint64_t store_disk_bytes = 0;       // of the coordinator's own disk; 0 = not known
  std::uint64_t store_disk_free_bytes = 0;  // when that is known
  std::map<NodeId, NodeSeen> nodes;
  std::map<GangKey, GangTrack> gangs;
  std::set<GangKey> watched;                   // those that may need something soon
  std::set<std::pair<Instant, GangKey>> ends;  // when they are predicted to end, as far as known
  std::map<JobId, InspectTrack> inspections;
  std::map<JobId, ProgressSeen> progress;
  PaceNow pace;                          // of those
  Instant charged;                       // when usage was, last
  std::optional<JobId> turn;             // of the job that stays first in the queue until it starts
  std::map<JobId, Instant> turns_taken;  // when such jobs started; of the last kTurnKeptAfter
  std::deque<std::pair<Instant, JobId>> turn_order;  // the same, oldest first
};

// ---- sightings -------------------------------------------------------------------------------

// A registration or heartbeat. `gangs` is complete.
struct WorkerSeen {
  NodeId node;
  WallTime at;
  std::uint64_t session = 0;
  std::vector<GangSeen> gangs;
  std::uint64_t memory_used_bytes = 0;
  std::uint64_t disk_free_bytes = 0;
  double cpu_seconds = 0;
  std::uint32_t pid = 0;  // 0 = as before
  std::uint32_t zygote_pid = 0;
};
// A heartbeat that says what the one before it said.
struct WorkerHeard {
  NodeId node;
};
struct GangNoticed {  // placed, or found in the ledger after a restart
  JobId job;
  Attempt attempt{};
  std::optional<Duration> run = {};  // predicted
};
// Its first node reports that all ranks are ready for their first step: all its nodes have it.
struct GangHeard {
  JobId job;
  Attempt attempt{};
  std::vector<NodeId> nodes;
};
// It runs and all its nodes list it: it is not watched until that changes.
struct GangSettled {
  JobId job;
  Attempt attempt{};
};
struct GangGone {  // its attempt ended
  JobId job;
  Attempt attempt{};
};
struct InspectAnswered {
  JobId job;
  bool failed = false;  // the tool could not run; ask again later
};
struct NodeGone {
  NodeId node;
};
struct StoreSeen {  // the disk of the coordinator's blobs
  std::uint64_t disk_bytes = 0;
  std::uint64_t disk_free_bytes = 0;
};
struct CoordinatorUp {};
struct UsageCounted {};
struct TurnKept {
  JobId job;
};
struct DrainBegun {};

using Sighting = std::variant<WorkerSeen, WorkerHeard, GangNoticed, GangHeard, GangSettled,
                              GangGone, InspectAnswered, NodeGone, StoreSeen, CoordinatorUp,
                              DrainBegun, ProgressSeen, UsageCounted, TurnKept>;

// Whether a heartbeat's gangs have that attempt.
bool Lists(const std::vector<GangSeen>& gangs, const GangKey& key);

void Observe(Liveness& liveness, const Sighting& sighting, Instant now);
// An effect is about to be performed: its next repetition backs off from here.
void Observe(Liveness& liveness, const Effect& effect, Instant now);
// The ledger is no longer what sightings were made of: forgets gangs it does not hold, and watches
// the others.
void Reconcile(Liveness& liveness, const Ledger& ledger);

}  // namespace tutti::core
