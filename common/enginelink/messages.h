// What an engine process and its worker say to each other: JSON lines over one inherited socket
// (one object a line, at most kMaxLineBytes). docs/formats/enginelink.md has an example of each.
//
// A training rank gets a Plan as its first line from the worker, on fd `--link-fd`, then sends the
// messages of ToWorker. Control messages go to rank 0 only. Values; no threads.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/result.h"

namespace tutti::enginelink {

inline constexpr std::size_t kMaxLineBytes = std::size_t{8} << 20;

// ---- worker -> engine ------------------------------------------------------------------------

struct CheckpointRef {
  std::uint64_t step = 0;
  std::string path{};  // of the .h5 file; the manifest is beside it
  std::string state_digest{};
};

// Everything a rank needs to know; the same for all ranks of a gang but `rank`, `local_rank`.
struct Plan {
  std::string job{};
  std::uint32_t attempt = 0;
  nlohmann::json spec{};   // resolved (jobs/spec/json.h)
  std::uint32_t rank = 0;  // must equal MPI's
  std::uint32_t size = 1;  // must equal MPI_COMM_WORLD's size
  std::uint32_t local_rank = 0;
  std::uint32_t local_size = 1;
  int memory_fd = -1;       // the attempt's memfd, shared by this machine's ranks; empty
                            // at first: local rank 0 sizes it
  std::string model_dir{};  // inputs, as local paths
  std::string train_path{};
  std::optional<std::string> eval_path{};
  std::string checkpoint_dir{};  // of the job, shared by its attempts
  std::string export_dir{};      // of this attempt; empty at first
  std::string cache_dir{};       // of this worker
  std::vector<CheckpointRef>
      checkpoints{};  // committed, newest first; manifests on disk are the truth
  bool resume = false;
  std::uint32_t cpus_per_rank = 1;
  // When the worker's lease ends as far as it knew, in ns of CLOCK_MONOTONIC, which this machine's
  // processes share; Alive moves it on. A rank ends then: the gang may be placed elsewhere. 0 =
  // there is no lease.
  std::uint64_t lease_until_ns = 0;
};

struct Stop {  // to rank 0: stop at the next step boundary
  bool checkpoint = true;
};
struct CheckpointNow {};             // to rank 0: checkpoint at the next step boundary and go on
struct Alive {                       // to every rank, several times within a lease
  std::uint64_t lease_until_ns = 0;  // as Plan's
};

using ToEngine = std::variant<Plan, Stop, CheckpointNow, Alive>;

// ---- engine -> worker ------------------------------------------------------------------------

struct Ready {  // every rank, once: after MPI_Init, load, resume; before the first step
  std::uint32_t rank = 0;
  std::uint64_t from_step = 0;
};

// Every rank, at least once a step: what it does now. `collective` counts those entered.
struct Beat {
  std::uint32_t rank = 0;
  std::uint64_t step = 0;
  std::uint64_t collective = 0;
  std::string phase{};  // load data forward backward reduce update checkpoint evaluate export
  // It has been waiting for other ranks in this collective for a while: said again and again.
  bool waiting = false;
  double compute_seconds = 0;  // of the step whose reduction it enters, reductions left out; else 0
};

struct Progress {  // rank 0, every logging_steps and on the last step
  std::uint64_t step = 0;
  std::uint64_t total_steps = 0;
  double epoch = 0;
  double loss = 0;  // mean over the steps since the last Progress
  double learning_rate = 0;
  double grad_norm = 0;          // of the last step, before clipping
  double tokens_per_second = 0;  // useful (non-padding) tokens, all ranks
  double rows_per_second = 0;
  double step_seconds = 0;  // mean
  double eta_seconds = 0;
  std::map<std::string, double> phase_seconds{};  // of rank 0, summed since the last Progress
  // Of the gang's gradient sums since the last Progress, by path ("memory": between ranks of a
  // machine, "network": between machines). Empty where there is nothing to sum.
  std::map<std::string, double> reduced_bytes{};    // of all ranks
  std::map<std::string, double> reduced_seconds{};  // of rank 0, waiting for others included
  std::uint64_t tokens_total = 0;
  std::uint64_t samples_total = 0;
};

// What a language model makes of an evaluation row's prompt, and what the row has.
struct EvalSample {
  std::string prompt{};
  std::string answer{};
  std::string expected{};
  bool ended = false;  // the answer, by an end token; else it was cut
};

struct Eval {  // rank 0
  std::uint64_t step = 0;
  std::map<std::string, double> metrics{};  // "loss", "accuracy", "macro_f1"
  bool best = false;
  std::vector<EvalSample> samples{};  // absent: none
};

struct Checkpoint {  // rank 0, after the manifest is durable
  std::uint64_t step = 0;
  std::string path{};
  std::string state_digest{};
  std::uint64_t size_bytes = 0;
  double write_seconds = 0;
  std::uint64_t best_step = 0;  // whose checkpoint stays whatever its age; 0 = none
  std::uint32_t keep = 0;       // the newest that stay; 0 = all
};

struct Warning {
  std::string message{};
  std::optional<std::string> code{};  // for programs: "stalled", "stall_over", "straggler"
};

// The last message of a machine's first rank when all went well; rank 0's has the files, relative
// to export_dir.
struct Done {
  enum class Outcome { kSucceeded, kReleased };
  Outcome outcome = Outcome::kSucceeded;
  std::uint64_t step = 0;
  std::map<std::string, double> metrics{};  // of the exported weights
  std::vector<std::string> files{};
};

// Any rank's last message before it exits with a non-zero status.
struct Failed {
  std::uint32_t rank = 0;
  std::string reason{};  // a failure reason of SPEC.md
  std::string message{};
  std::string where{};
  std::string hint{};
  std::uint64_t step = 0;
  bool consequence = false;  // another rank is gone or gave up: that one's end is the cause
};

using ToWorker = std::variant<Ready, Beat, Progress, Eval, Checkpoint, Warning, Done, Failed>;

// One line with its '\n'. {"type": "progress", "step": 3, …}.
std::string Encode(const ToEngine& message);
std::string Encode(const ToWorker& message);
// kInvalid for anything Encode would not write (unknown keys are ignored: versions differ).
Result<ToEngine> DecodeToEngine(std::string_view line);
Result<ToWorker> DecodeToWorker(std::string_view line);

// Cuts a byte stream into lines; kTooLarge once a line exceeds kMaxLineBytes.
class LineBuffer {
 public:
  Status Append(std::string_view bytes);
  std::optional<std::string> Next();  // without '\n'

 private:
  std::string buffer_;
  std::size_t scanned_ = 0;
};

// ---- the zygote ------------------------------------------------------------------------------
// `tutti-engine zygote --fd N`: one SOCK_SEQPACKET socket; each packet one JSON object. A Spawn
// packet carries the child's descriptors (SCM_RIGHTS) in the order of `fd_names`. In the child
// "stdin", "stdout" and "stderr" become 0, 1 and 2 (left out: the zygote's own), the others 3, 4, …
// in order. `train` learns its memory's number from `--memory-fd {memory}`, which wins over
// Plan::memory_fd.

struct Spawn {
  std::uint64_t id = 0;  // of this request
  std::vector<std::string>
      arguments{};  // as after the program's name: {"train", "--link-fd", "{link}"}
                    // "{name}" becomes the child's number for that descriptor
  std::map<std::string, std::string> environment{};  // added to the zygote's
  std::vector<std::string> fd_names{};               // e.g. {"link", "memory", "stdout", "stderr"}
  std::optional<std::uint32_t> uid{}, gid{};         // setuid before anything else
  std::string working_dir{};
  std::int32_t nice = 0;
  std::uint64_t memory_limit_bytes = 0;  // RLIMIT_AS-like cap where cgroups cannot be had; 0 = none
  std::uint32_t threads = 1;
};
struct Spawned {
  std::uint64_t id = 0;
  std::int32_t pid = 0;  // 0: it failed, `error` says why
  std::string error{};
};
struct Exited {
  std::uint64_t id = 0;
  std::int32_t pid = 0;
  std::int32_t wait_status = 0;         // as waitpid gives it
  std::uint64_t memory_peak_bytes = 0;  // ru_maxrss
};

std::string EncodePacket(const Spawn& spawn);
std::string EncodePacket(const std::variant<Spawned, Exited>& event);
Result<Spawn> DecodeSpawn(std::string_view packet);
Result<std::variant<Spawned, Exited>> DecodeZygoteEvent(std::string_view packet);

}  // namespace tutti::enginelink
