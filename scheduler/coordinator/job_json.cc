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
  return {{"slot_hours", hours(ms.slots)}, {"gpu_hours", hours(ms.gpus)}};
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
  return {
      {"id", job.id.ToString()},
      {"name", job.request.name},
      {"task", job.request.task},
      {"model", job.request.model_base},
      {"state", spec::ToString(view.shown.state)},
      {"reason", TextOrNull(view.shown.reason)},
      {"message", TextOrNull(view.shown.message)},
      {"attempt", CountOrNull(Number(job.attempt))},
      {"queue", job.request.queue},
      {"priority", job.request.priority},
      {"user", job.request.user},
      {"held", job.held},
      {"depends_on", DependsOnJson(job.request)},
      {"sweep", TrialJson(job.request.trial)},
      {"sequence", job.sequence},
      {"submitted_at", job.submitted_at.ToRfc3339()},
      {"since", job.since.ToRfc3339()},
      {"finished_at", TimeOrNull(job.finished_at)},
      {"ranks",
       {{"min", job.request.ranks_min},
        {"max", job.request.ranks_max},
        {"current", gang == nullptr ? json() : json(gang->size)}}},
      {"progress", has_progress ? ProgressJson(*view.progress->progress) : json()},
      {"eval", EvalJson(view)},
      {"pending", PendingJson(view)},
      {"stalled", StalledJson(view)},
      {"straggler", StragglerJson(view)},
      {"estimate", JobEstimateJson(view)},
      {"measured",
       job.memory_peak_bytes == 0 ? json() : json{{"memory_bytes_peak", job.memory_peak_bytes}}},
      {"used", UsedJson(job)},
      {"attempts", AttemptsJson(view)},
      {"checkpoints", CheckpointsJson(job)},
      {"result", ResultJson(job, models_dir)}};
}

}  // namespace tutti::coordinator
