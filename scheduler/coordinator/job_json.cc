#include "scheduler/coordinator/job_json.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "scheduler/coordinator/json_null.h"
#include "scheduler/registry/model_store.h"

namespace tutti::coordinator {
namespace {

using nlohmann::json;

json NumberOrNull(double number) { return std::isfinite(number) ? json(number) : json(); }

json AttemptReason(const core::AttemptRecord& attempt) {
  if (attempt.failure) return spec::ToString(*attempt.failure);
  if (attempt.stop_why) return core::ToString(*attempt.stop_why);
  return nullptr;
}

json AttemptsJson(const JobView& view) {
  json list = json::array();
  for (const core::AttemptRecord& attempt : view.job.attempts) {
    json workers = json::array();
    for (const NodeId node : attempt.nodes) workers.push_back(view.node_names.at(node));
    list.push_back({{"attempt", Number(attempt.attempt)},
                    {"ranks", attempt.ranks},
                    {"workers", std::move(workers)},
                    {"placed_at", attempt.placed_at.ToRfc3339()},
                    {"started_at", TimeOrNull(attempt.started_at)},
                    {"ended_at", TimeOrNull(attempt.ended_at)},
                    {"reason", AttemptReason(attempt)},
                    {"message", TextOrNull(attempt.message)},
                    {"from_step", attempt.started_at ? json(attempt.from_step) : json()},
                    {"bits_changed", attempt.bits_changed}});
  }
  return list;
}

json CheckpointsJson(const core::Job& job) {
  json list = json::array();
  for (const core::CheckpointRecord& checkpoint : job.checkpoints) {
    list.push_back({{"step", checkpoint.step},
                    {"attempt", Number(checkpoint.attempt)},
                    {"path", checkpoint.path},
                    {"state_digest", checkpoint.state_digest},
                    {"size_bytes", checkpoint.size_bytes},
                    {"committed_at", checkpoint.committed_at.ToRfc3339()}});
  }
  return list;
}

json ResultJson(const core::Job& job, const std::filesystem::path& models_dir) {
  const auto* succeeded = std::get_if<core::Succeeded>(&job.phase);
  if (succeeded == nullptr) return nullptr;
  json metrics = json::parse(succeeded->metrics_json, nullptr, false);
  if (!metrics.is_object()) metrics = json::object();
  return {{"model", registry::ModelId(job.request.model_base, job.request.name, job.id)},
          {"path", (models_dir / job.id.ToString()).string()},
          {"digest", succeeded->model_digest},
          {"metrics", std::move(metrics)}};
}

json EvalJson(const JobView& view) {
  if (!view.progress || !view.progress->eval) return nullptr;
  json out = {{"step", view.progress->eval->step}};
  for (const auto& [name, value] : view.progress->eval->metrics) out[name] = NumberOrNull(value);
  return out;
}

json PendingJson(const JobView& view) {
  if (!view.pending) return nullptr;
  return {{"missing_slots", view.pending->missing.slots},
          {"missing_gpus", view.pending->missing.gpus},
          {"jobs_ahead", view.pending->jobs_ahead},
          {"would_help", view.helps}};
}

json TrialJson(const core::Trial& trial) {
  if (trial.sweep.empty()) return nullptr;
  return {{"id", trial.sweep}, {"trial", trial.number}, {"parameters", ParametersJson(trial)}};
}

json DependsOnJson(const core::JobRequest& request) {
  json ids = json::array();
  for (const JobId id : request.depends_on) ids.push_back(id.ToString());
  return ids;
}

json StalledJson(const JobView& view) {
  json list = json::array();
  for (const auto& [stall, worker] : view.stalled) {
    list.push_back({{"rank", stall.rank},
                    {"worker", worker},
                    {"stopped", stall.stopped},
                    {"phase", stall.phase},
                    {"step", stall.step},
                    {"collective", stall.collective},
                    {"sequence", stall.sequence},
                    {"silent_seconds", stall.silent_seconds},
                    {"message", stall.message}});
  }
  return list;
}

json StragglerJson(const JobView& view) {
  if (!view.straggler) return nullptr;
  return {{"rank", view.straggler->rank},
          {"worker", view.straggler->worker},
          {"compute_seconds", view.straggler->compute_seconds},
          {"median_seconds", view.straggler->median_seconds},
          {"delay_seconds", view.straggler->delay_seconds()}};
}

// Of ended attempts, as users and queues are charged.
json UsedJson(const core::Job& job) {
  core::Amount ms;
  for (const core::AttemptRecord& attempt : job.attempts) {
    const core::Amount held = core::AmountOf(job.request, attempt.ranks);
    ms += {held.slots * attempt.ran_ms, held.gpus * attempt.ran_ms};
  }
  const auto hours = [](std::uint64_t amount) { return static_cast<double>(amount) / 3'600'000; };
  json used;
  used["slot_hours"] = hours(ms.slots);
  used["gpu_hours"] = hours(ms.gpus);
  return used;
}

json JobEstimateJson(const JobView& view) {
  if (!view.job.estimate) return nullptr;
  json out = EstimateJson(*view.job.estimate);
  AddExpected(out, "start_at", view.start);
  AddExpected(out, "end_at", view.end);
  return out;
}

}  // namespace

json ParametersJson(const core::Trial& trial) {
  json parameters = json::parse(trial.parameters_json, nullptr, false);
  if (!parameters.is_object()) parameters = json::object();
  return parameters;
}

void AddExpected(json& to, const std::string& name, const std::optional<Expected>& expected) {
  to[name] = expected ? json(expected->at.ToRfc3339()) : json();
  to[name + "_earliest"] = expected ? json(expected->earliest.ToRfc3339()) : json();
  to[name + "_latest"] = expected ? json(expected->latest.ToRfc3339()) : json();
}

json ProgressJson(const enginelink::Progress& progress) {
  return {{"step", progress.step},
          {"total_steps", progress.total_steps},
          {"epoch", NumberOrNull(progress.epoch)},
          {"loss", NumberOrNull(progress.loss)},
          {"learning_rate", NumberOrNull(progress.learning_rate)},
          {"grad_norm", NumberOrNull(progress.grad_norm)},
          {"tokens_per_second", NumberOrNull(progress.tokens_per_second)},
          {"eta_seconds", NumberOrNull(progress.eta_seconds)}};
}

json EstimateJson(const core::Estimate& estimate) {
  return {
      {"memory_bytes_per_rank", CountOrNull(estimate.memory_bytes_per_rank)},
      {"disk_bytes", CountOrNull(estimate.disk_bytes)},
      {"export_bytes", CountOrNull(estimate.export_bytes)},
      {"total_steps", CountOrNull(estimate.total_steps)},
      {"rows", CountOrNull(estimate.rows)},
      {"tokens", CountOrNull(estimate.tokens)},
      {"training_seconds",
       estimate.duration_ms == 0 ? json() : json(static_cast<double>(estimate.duration_ms) / 1000)},
      {"warnings", estimate.warnings}};
}

json JobJson(const JobView& view, const std::filesystem::path& models_dir) {
  const core::Job& job = view.job;
  const core::Gang* gang = core::ActiveGang(job);
  const bool has_progress = view.progress && view.progress->progress;
  json out;  // member by member: a list in braces would make a tree of pairs first
  out["id"] = job.id.ToString();
  out["name"] = job.request.name;
  out["task"] = job.request.task;
  out["model"] = job.request.model_base;
  out["state"] = spec::ToString(view.shown.state);
  out["reason"] = TextOrNull(view.shown.reason);
  out["message"] = TextOrNull(view.shown.message);
  out["attempt"] = CountOrNull(Number(job.attempt));
  out["queue"] = job.request.queue;
  out["priority"] = job.request.priority;
  out["user"] = job.request.user;
  out["held"] = job.held;
  out["depends_on"] = DependsOnJson(job.request);
  out["sweep"] = TrialJson(job.request.trial);
  out["sequence"] = job.sequence;
  out["submitted_at"] = job.submitted_at.ToRfc3339();
  out["since"] = job.since.ToRfc3339();
  out["finished_at"] = TimeOrNull(job.finished_at);
  json& ranks = out["ranks"];
  ranks["min"] = job.request.ranks_min;
  ranks["max"] = job.request.ranks_max;
  ranks["current"] = gang == nullptr ? json() : json(gang->size);
  out["progress"] = has_progress ? ProgressJson(*view.progress->progress) : json();
  out["eval"] = EvalJson(view);
  out["pending"] = PendingJson(view);
  out["stalled"] = StalledJson(view);
  out["straggler"] = StragglerJson(view);
  out["estimate"] = JobEstimateJson(view);
  out["measured"] =
      job.memory_peak_bytes == 0 ? json() : json{{"memory_bytes_peak", job.memory_peak_bytes}};
  out["used"] = UsedJson(job);
  out["attempts"] = AttemptsJson(view);
  out["checkpoints"] = CheckpointsJson(job);
  out["result"] = ResultJson(job, models_dir);
  return out;
}

}  // namespace tutti::coordinator
