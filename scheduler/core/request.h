// Values that facts are made of: what a job asks for, what inspect predicts, where ranks are.
// No threads.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "jobs/spec/states.h"

namespace tutti::core {

// A job's place in a sweep. A sweep is what its trials say of it.
struct Trial {
  std::string sweep = {};            // "s-" + 8 characters; "" = of none
  std::string sweep_name = {};       // of its spec
  std::uint32_t number = 0;          // 1, 2, …
  std::uint32_t of = 0;              // so many trials
  std::string parameters_json = {};  // {"training.learning_rate": 0.0001}
  std::string method = {};           // "grid", "random", "asha"
  std::string metric = {};           // by which trials are compared; "" = they are not
  bool maximize = true;

  bool operator==(const Trial&) const = default;
};

// What the scheduler needs to know of a spec; the rest stays in spec_json.
struct JobRequest {
  std::string name;
  std::string task;        // "text-classification"
  std::string model_base;  // the base model's folder name, for the name of the result
  std::string queue = "default";
  std::string user = "local";
  std::int64_t priority = 0;    // higher = more urgent
  std::uint32_t ranks_min = 1;  // powers of two, min <= max <= shards
  std::uint32_t ranks_max = 1;
  std::uint32_t cpus_per_rank = 1;  // slots a rank takes
  std::uint32_t gpus_per_rank = 0;
  std::uint32_t shards = 1;
  std::uint64_t memory_bytes_per_rank = 0;  // 0 = as predicted by inspect
  std::uint64_t max_duration_ms = 0;        // of running, over all attempts; 0 = none
  std::uint32_t retry_max_attempts = 3;     // consecutive ones without a new checkpoint
  std::vector<spec::FailureReason> retry_on;
  bool preemptible = true;
  bool reproducible = true;
  std::vector<JobId> depends_on = {};              // have to succeed first
  std::map<std::string, std::string> labels = {};  // that its workers have
  std::string topology = {};    // the worker label that is the same for the whole gang; "" = any
  std::string model_key = {};   // names the base model's bytes: workers that have it start sooner
  std::string method = "full";  // or "lora", "dpo": for those who count jobs
  Trial trial = {};

  bool operator==(const JobRequest&) const = default;
};

// What `inspect` predicts. 0 = not known.
struct Estimate {
  std::uint64_t memory_bytes_per_rank = 0;
  std::uint64_t disk_bytes = 0;    // checkpoints kept, the one being written, the exported model
  std::uint64_t export_bytes = 0;  // of those the exported model, which the coordinator keeps too
  std::uint64_t total_steps = 0;
  std::uint64_t rows = 0;
  std::uint64_t tokens = 0;
  std::uint64_t duration_ms = 0;
  std::vector<std::string> warnings = {};

  bool operator==(const Estimate&) const = default;
};

// Ranks first_rank … first_rank + ranks - 1 of a gang.
struct GangMember {
  NodeId node;
  std::uint32_t first_rank = 0;
  std::uint32_t ranks = 0;

  bool operator==(const GangMember&) const = default;
};

struct ModelFile {
  std::string path;    // relative to the model's folder
  std::string digest;  // "sha256:…", of a blob
  std::uint64_t size_bytes = 0;

  bool operator==(const ModelFile&) const = default;
};

// By what a checkpoint's files are fetched and verified; digests are "sha256:…", "" = by nobody.
struct CheckpointFiles {
  std::string data_digest;
  std::string manifest_digest;
  std::uint64_t manifest_size_bytes = 0;

  bool operator==(const CheckpointFiles&) const = default;
};

// Why a gang was asked to stop.
enum class StopWhy { kPause, kCancel, kResize, kPreempt, kDrain, kTimeout, kRung };
std::string_view ToString(StopWhy why);  // "pause"
std::optional<StopWhy> ParseStopWhy(std::string_view text);

}  // namespace tutti::core
