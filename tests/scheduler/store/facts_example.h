// One fact of every type with every field set, and a short true story that Apply accepts. For tests
// of the store; no threads.
#pragma once

#include <string>
#include <vector>

#include "scheduler/core/facts.h"

namespace tutti::store {

inline core::JobSubmitted ExampleSubmitted(std::uint64_t bits, const std::string& name) {
  core::JobSubmitted f;
  f.job = JobId(bits);
  f.request.name = name;
  f.request.task = "text-classification";
  f.request.model_base = "bert-tiny";
  f.request.priority = -3;
  f.request.ranks_max = 4;
  f.request.shards = 4;
  f.request.max_duration_ms = 1000;
  f.request.retry_on = {spec::FailureReason::kCrash, spec::FailureReason::kHang};
  f.request.labels = {{"disk", "ssd"}};
  f.request.topology = "rack";
  f.request.model_key = "k";
  f.request.gpus_per_rank = 2;
  f.request.trial = {.sweep = "s-00000001",
                     .sweep_name = "rates",
                     .number = 1,
                     .of = 2,
                     .parameters_json = "{}",
                     .method = "asha",
                     .metric = "loss",
                     .maximize = false};
  f.spec_json = R"({"name": "x"})";
  f.idempotency_key = "key-" + std::to_string(bits);
  f.body_digest = "sha256:00";
  f.at = WallTime{1000};
  return f;
}

inline core::NodeRegistered ExampleNode() {
  return {.node = NodeId(7),
          .name = "worker-0",
          .session = 99,
          .version = "0.1.0",
          .slots = 8,
          .cores = 2,
          .memory_bytes = 1 << 30,
          .disk_bytes = 1 << 20,
          .cpu_model = "a cpu",
          .numerics_fingerprint = "fp",
          .at = WallTime{900},
          .labels = {{"rack", "a"}},
          .gpus = 4,
          .gpu_model = "a gpu"};
}

inline core::GangPlaced ExamplePlaced(JobId job, std::uint32_t attempt) {
  return {.job = job,
          .attempt = Attempt{attempt},
          .size = 2,
          .members = {{NodeId(7), 0, 2}},
          .numerics_fingerprint = "fp",
          .bits_changed = false,
          .at = WallTime{1200}};
}

inline core::JobSubmitted Depending(core::JobSubmitted f, JobId on) {
  f.request.depends_on = {on};
  return f;
}

// Two jobs: one succeeds, one runs, after a failed attempt.
inline std::vector<core::Fact> ExampleStory() {
  const JobId one(1);
  const JobId two(2);
  const core::Estimate estimate{.memory_bytes_per_rank = 1 << 20,
                                .disk_bytes = 900,
                                .export_bytes = 100,
                                .total_steps = 10,
                                .warnings = {"w"}};
  return {
      core::CoordinatorStarted{.generation = 1, .at = WallTime{800}},
      ExampleNode(),
      core::NodeDrained{.node = NodeId(7), .draining = true, .at = WallTime{901}},
      core::NodeDrained{.node = NodeId(7), .draining = false, .at = WallTime{902}},
      ExampleSubmitted(1, "first"),
      core::JobAdmitted{.job = one, .estimate = estimate, .at = WallTime{1100}},
      ExamplePlaced(one, 1),
      core::GangStarted{.job = one, .attempt = Attempt{1}, .from_step = 0, .at = WallTime{1300}},
      core::CheckpointCommitted{.job = one,
                                .attempt = Attempt{1},
                                .step = 5,
                                .path = "/c/step-5.h5",
                                .state_digest = "sha256:11",
                                .size_bytes = 10,
                                .at = WallTime{1400},
                                .files = {.data_digest = "sha256:12",
                                          .manifest_digest = "sha256:13",
                                          .manifest_size_bytes = 14},
                                .best_step = 5,
                                .keep = 2},
      core::RungReached{.job = one,
                        .attempt = Attempt{1},
                        .rung = 0,
                        .step = 5,
                        .value = 0.25,
                        .at = WallTime{1410}},
      Depending(ExampleSubmitted(2, "second"), one),
      core::JobAdmitted{.job = two, .estimate = estimate, .at = WallTime{1450}},
      core::JobSucceeded{.job = one,
                         .attempt = Attempt{1},
                         .model_digest = "sha256:22",
                         .files = {{"model.safetensors", "sha256:22", 5}},
                         .metrics_json = R"({"accuracy":1.0})",
                         .memory_peak_bytes = 77,
                         .step = 10,
                         .ran_ms = 5000,
                         .at = WallTime{1500},
                         .launch_ms = 1500,
                         .steps_ms = 2000},
      ExamplePlaced(two, 1),
      core::AttemptFailed{.job = two,
                          .attempt = Attempt{1},
                          .reason = spec::FailureReason::kCrash,
                          .message = "rank 1 died",
                          .step = 0,
                          .ran_ms = 3,
                          .at = WallTime{1600},
                          .steps_ms = 2},
      ExamplePlaced(two, 2),
      core::GangStarted{.job = two, .attempt = Attempt{2}, .from_step = 0, .at = WallTime{1700}},
  };
}

}  // namespace tutti::store
