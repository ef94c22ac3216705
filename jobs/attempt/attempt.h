// An attempt: the life of a gang on one machine (the whole gang, or its part there), as a pure
// step. Inputs are fetched, ranks spawned, they start, run, end; the export is uploaded, everything
// is cleaned up, and one end is reported.
//
// Step changes the state it is given and returns what has to be done; it has no clock, no threads
// and no IO. The worker performs the actions and hands back what came of them; the simulator does
// the same with fake ranks. Every state but kEnded has a deadline that Tick enforces.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/time.h"
#include "common/enginelink/messages.h"
#include "jobs/spec/states.h"

namespace tutti::attempt {

// How long each part of a life may take.
struct Limits {
  Duration fetch = std::chrono::hours(6);           // big models over slow lines
  Duration spawn = std::chrono::seconds(20);        // zygote's answers for all ranks
  Duration start = std::chrono::minutes(30);        // MPI, loading, resuming
  Duration stop = std::chrono::seconds(20);         // a checkpoint after Stop
  Duration finish = std::chrono::seconds(15);       // ranks end after Done or their first exit
  Duration cause = std::chrono::milliseconds(500);  // of a rank that left because a peer is gone
  Duration kill_again = std::chrono::seconds(1);    // SIGKILL is repeated until all are gone
  Duration upload = std::chrono::hours(6);
  Duration clean_up = std::chrono::seconds(30);
  Duration quiet = std::chrono::minutes(30);  // without a Beat in load, evaluate, export …
};

enum class Phase {
  kFetching,  // inputs
  kSpawning,  // waiting for the zygote's answers
  kStarting,  // until every rank is Ready
  kRunning,
  kFinishing,  // rank 0 said Done, or every rank exits one after another
  kKilling,    // SIGKILL sent, waiting until no rank is left
  kUploading,
  kCleaning,
  kEnded,
};

enum class Stop { kNone, kCheckpoint, kKill };

// ---- events -----------------------------------------------------------------------------------

struct InputsReady {};
struct InputsFailed {
  spec::FailureReason reason = spec::FailureReason::kInternal;
  std::string message;
};
struct Spawned {
  std::uint32_t rank = 0;  // local
  std::int32_t pid = 0;
};
struct SpawnFailed {
  std::uint32_t rank = 0;
  std::string message;
};
struct FromRank {
  std::uint32_t rank = 0;  // local: of the link it came on
  enginelink::ToWorker message;
};
struct RankExited {
  std::uint32_t rank = 0;
  std::int32_t wait_status = 0;
  std::uint64_t memory_peak_bytes = 0;  // 0: unknown
};
struct MpiAborted {
  std::uint32_t rank = 0;
  std::int32_t status = 0;
};
// Evidence that memory ran out: the kernel's counter grew, or a rank passed its limit. Has to
// arrive before the exit it explains.
struct MemoryExceeded {
  std::optional<std::uint32_t> rank;  // nullopt: some rank
  std::string message;
};
struct ZygoteDied {
};  // its children die with it; those the worker can reap are reported one by one
// What the system says of a rank that has been silent for a while.
struct RankProbed {
  std::uint32_t rank = 0;
  bool stopped = false;  // by a signal (SIGSTOP, SIGTSTP)
};
struct StopRequested {
  Stop mode = Stop::kKill;
  std::string reason;  // "pause", "lease", … for people
};
struct CheckpointRequested {};  // and go on; heard only while the gang trains
struct UploadFinished {};
struct UploadFailed {
  spec::FailureReason reason = spec::FailureReason::kInternal;
  std::string message;
};
struct CleanedUp {};
struct Tick {};  // at least once a second

using Event = std::variant<InputsReady, InputsFailed, Spawned, SpawnFailed, FromRank, RankExited,
                           MpiAborted, MemoryExceeded, ZygoteDied, RankProbed, StopRequested,
                           CheckpointRequested, UploadFinished, UploadFailed, CleanedUp, Tick>;

// ---- actions ----------------------------------------------------------------------------------

struct SpawnRanks {};  // answered by Spawned or SpawnFailed for each rank
struct SendToRankZero {
  enginelink::ToEngine message;
};
struct KillRanks {};  // SIGKILL to every rank and its process group; may be repeated
struct UploadExport {
  std::vector<std::string> files;  // relative to the export directory
};
struct CleanUp {};  // no rank is left: folders, PMIx, memory; answered by CleanedUp
struct Forward {};  // the message in this event goes to the coordinator as it is
struct ReportWarning {
  std::string message;
};
// A rank that holds the gang up.
struct Stall {
  std::uint32_t rank = 0;  // local
  bool stopped = false;    // by a signal
  Duration silent{};       // since it last got on
  std::string phase = {};
  std::uint64_t step = 0;       // that it is in, from 1
  std::string collective = {};  // that it holds up: "reduce", "update", "evaluate"
  std::uint64_t sequence = 0;   // of that collective
  std::string message = {};     // all of it, for people
};
struct ReportStall {
  Stall stall;
  bool over = false;  // it goes on, `message` says so
};
struct ReportStarted {
  std::uint64_t from_step = 0;
  Duration launch{};
};
struct ReportCheckpoint {
  enginelink::Checkpoint checkpoint;
};

enum class Outcome { kSucceeded, kReleased, kFailed, kKilled };
struct ReportEnded {  // the last action of a life
  Outcome outcome = Outcome::kFailed;
  std::optional<spec::FailureReason> reason = {};  // kFailed
  std::string message = {};
  std::uint64_t step = 0;
  std::uint64_t memory_peak_bytes = 0;
  std::map<std::string, double> metrics = {};  // kSucceeded
};

using Action =
    std::variant<SpawnRanks, SendToRankZero, KillRanks, UploadExport, CleanUp, Forward,
                 ReportWarning, ReportStall, ReportStarted, ReportCheckpoint, ReportEnded>;

// ---- state ------------------------------------------------------------------------------------

struct Rank {
  enum class Life { kUnborn, kRequested, kAlive, kGone };
  Life life = Life::kUnborn;
  std::int32_t pid = 0;
  bool ready = false;
  std::uint64_t collective = 0;
  std::uint64_t step = 0;
  std::string phase;
  Instant last_beat;
  Instant got_on;                       // when it last said anything but that it waits
  bool waiting = false;                 // by its last Beat
  bool stopped = false;                 // by the last probe since its last Beat
  std::vector<Duration> compute_times;  // the newest kStepTimes
};

struct Failure {
  spec::FailureReason reason = spec::FailureReason::kInternal;
  std::string message;
  bool consequence = false;  // of another rank's end, which is the cause
};

struct State {
  Limits limits;
  std::vector<Rank> ranks;       // by local rank
  std::uint32_t first_rank = 0;  // of the gang, on this machine
  std::uint32_t gang_size = 1;   // ranks on all machines
  std::string worker;            // this machine's, for people
  Phase phase = Phase::kFetching;
  Instant created_at;
  Instant deadline;  // of this phase
  Instant next_kill;
  Stop stop = Stop::kNone;
  std::string stop_reason;
  std::optional<Failure> failure;  // the first cause; later ones are consequences
  // A rank left because a peer is gone: why the peer went is waited for until then.
  std::optional<Failure> consequence;
  Instant consequence_until;
  std::optional<std::string> memory_evidence;
  std::optional<enginelink::Done> done;
  bool uploaded = false;
  std::uint64_t step = 0;
  std::uint64_t memory_peak_bytes = 0;
  std::vector<Duration> step_times;  // the newest kStepTimes of the first local rank
  Instant last_step_at;
  std::vector<Stall> stalls;  // that stand now, as reported
};

// A machine's part of a gang.
struct Part {
  std::uint32_t local_ranks = 1;
  std::uint32_t first_rank = 0;
  std::uint32_t gang_size = 1;
  std::string worker = {};  // its name, for people
};

// A new life: inputs are being fetched. The part without rank 0 hands over no model: when all went
// well it ends as released, and rank 0's machine speaks for the gang.
State Begin(const Part& part, Limits limits, Instant now);

std::vector<Action> Step(State& state, const Event& event, Instant now);

// Restates what always holds; TUTTI_CHECKs. For tests and the simulator.
void CheckInvariants(const State& state);

}  // namespace tutti::attempt
