// What the cluster was asked to do, from its journal: for `tutti simulate whatif`.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "scheduler/coordinator/answers.h"
#include "scheduler/core/throughput.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

struct WorkloadRow {
  core::JobRequest request;
  WallTime submitted;
  std::uint64_t steps = 0;
  double step_ms = 0;  // with so many ranks:
  std::uint32_t ranks = 1;
};

struct WorkloadRows {
  std::string policy;
  core::Sharing sharing;
  std::vector<core::Node> nodes;
  std::vector<WorkloadRow> jobs;
  std::size_t unknown = 0;  // jobs of which no step time is known
};

Result<WorkloadRows> ReadWorkload(const View& view) {
  const core::Ledger& ledger = view.state->ledger;
  WorkloadRows rows;
  rows.policy = core::PolicyOf(ledger, view.state->policy).name;
  rows.sharing = ledger.sharing;
  for (const auto& [id, node] : ledger.nodes) {
    if (node.state != core::NodeState::kLeft) rows.nodes.push_back(node);
  }
  for (const auto& [sequence, id] : ledger.by_sequence) {
    const core::Job& job = ledger.jobs.at(id);
    const std::uint32_t ranks = core::MeasuredRanks(job);
    const auto step = core::StepMs(job, ledger.learned, ranks);
    if (!job.estimate || job.estimate->total_steps == 0 || !step || step->value <= 0) {
      ++rows.unknown;
      continue;
    }
    // One that was stopped early asked for no more than it did.
    std::uint64_t steps = job.estimate->total_steps;
    if (core::IsFinished(job) && !job.attempts.empty()) {
      steps = std::max<std::uint64_t>(job.attempts.back().last_step, 1);
    }
    rows.jobs.push_back({job.request, job.submitted_at, steps, step->value, ranks});
  }
  return rows;
}

json JobsJson(const WorkloadRows& rows) {
  json jobs = json::array();
  const std::int64_t first = rows.jobs.empty() ? 0 : rows.jobs.front().submitted.unix_ms;
  for (const WorkloadRow& row : rows.jobs) {
    jobs.push_back({{"name", row.request.name},
                    {"queue", row.request.queue},
                    {"user", row.request.user},
                    {"priority", row.request.priority},
                    {"ranks_min", row.request.ranks_min},
                    {"ranks_max", row.request.ranks_max},
                    {"cpus_per_rank", row.request.cpus_per_rank},
                    {"gpus_per_rank", row.request.gpus_per_rank},
                    {"shards", row.request.shards},
                    {"memory_bytes_per_rank", row.request.memory_bytes_per_rank},
                    {"preemptible", row.request.preemptible},
                    {"submitted_ms", std::max<std::int64_t>(0, row.submitted.unix_ms - first)},
                    {"steps", row.steps},
                    {"step_ms", row.step_ms},
                    {"ranks", row.ranks}});
  }
  return jobs;
}

json WorkloadJson(const WorkloadRows& rows) {
  json queues = json::array();
  for (const auto& [name, config] : rows.sharing.queues) {
    queues.push_back({{"name", name},
                      {"weight", config.weight},
                      {"slots", config.slots},
                      {"slots_max", config.slots_max},
                      {"user_slots", config.user_slots},
                      {"gpus", config.gpus},
                      {"gpus_max", config.gpus_max},
                      {"user_gpus", config.user_gpus},
                      {"parent", config.parent}});
  }
  json workers = json::array();
  for (const core::Node& node : rows.nodes) {
    workers.push_back({{"name", node.name},
                       {"slots", node.slots},
                       {"gpus", node.gpus},
                       {"memory_bytes", node.memory_bytes},
                       {"numerics", node.numerics_fingerprint},
                       {"labels", node.labels}});
  }
  return {{"policy", rows.policy},
          {"queues", std::move(queues)},
          {"workers", std::move(workers)},
          {"jobs", JobsJson(rows)},
          {"unknown", rows.unknown}};
}

constexpr const char* kSchema = R"({"type": "object",
  "required": ["policy", "queues", "workers", "jobs", "unknown"], "properties": {
  "policy": {"type": "string"}, "queues": {"type": "array", "items": {"type": "object"}},
  "workers": {"type": "array", "items": {"type": "object"}},
  "jobs": {"type": "array", "items": {"type": "object"}},
  "unknown": {"type": "integer", "description": "jobs of which no step time is known"}}})";

}  // namespace

void RegisterWorkloadRoutes(http::Router& router, Api& api) {
  router.Add({.path = "/api/v1/workload",
              .summary = "Jobs as they came and how long their steps took, workers and queues: "
                         "what a simulation replays",
              .response_schema = kSchema,
              .access = http::Access::kViewer,
              .handler = [&api](const http::Request&, const http::Responder& responder) {
                AnswerRead(api, responder, ReadWorkload, [](const WorkloadRows& rows) {
                  return http::Json(200, WorkloadJson(rows));
                });
              }});
}

}  // namespace tutti::coordinator
