#include "scheduler/store/convert.h"

namespace tutti::store {

namespace {

void TrialToProto(const core::Trial& from, journal::Trial* to) {
  to->set_sweep(from.sweep);
  to->set_sweep_name(from.sweep_name);
  to->set_number(from.number);
  to->set_of(from.of);
  to->set_parameters_json(from.parameters_json);
  to->set_method(from.method);
  to->set_metric(from.metric);
  to->set_maximize(from.maximize);
}

core::Trial TrialFromProto(const journal::Trial& from) {
  return {.sweep = from.sweep(),
          .sweep_name = from.sweep_name(),
          .number = from.number(),
          .of = from.of(),
          .parameters_json = from.parameters_json(),
          .method = from.method(),
          .metric = from.metric(),
          .maximize = from.maximize()};
}

}  // namespace

void ToProto(const core::JobRequest& from, journal::JobRequest* to) {
  to->set_name(from.name);
  to->set_task(from.task);
  to->set_model_base(from.model_base);
  to->set_queue(from.queue);
  to->set_user(from.user);
  to->set_priority(from.priority);
  to->set_ranks_min(from.ranks_min);
  to->set_ranks_max(from.ranks_max);
  to->set_cpus_per_rank(from.cpus_per_rank);
  to->set_shards(from.shards);
  to->set_memory_bytes_per_rank(from.memory_bytes_per_rank);
  to->set_max_duration_ms(from.max_duration_ms);
  to->set_retry_max_attempts(from.retry_max_attempts);
  for (const spec::FailureReason reason : from.retry_on) {
    to->add_retry_on(std::string(spec::ToString(reason)));
  }
  to->set_preemptible(from.preemptible);
  to->set_reproducible(from.reproducible);
  for (const JobId id : from.depends_on) to->add_depends_on(id.value());
  LabelsToProto(from.labels, to->mutable_labels());
  to->set_topology(from.topology);
  to->set_model_key(from.model_key);
  to->set_method(from.method);
  to->set_gpus_per_rank(from.gpus_per_rank);
  if (!from.trial.sweep.empty()) TrialToProto(from.trial, to->mutable_trial());
}

Result<core::JobRequest> FromProto(const journal::JobRequest& from) {
  core::JobRequest to;
  to.name = from.name();
  to.task = from.task();
  to.model_base = from.model_base();
  to.queue = from.queue();
  to.user = from.user();
  to.priority = from.priority();
  to.ranks_min = from.ranks_min();
  to.ranks_max = from.ranks_max();
  to.cpus_per_rank = from.cpus_per_rank();
  to.shards = from.shards();
  to.memory_bytes_per_rank = from.memory_bytes_per_rank();
  to.max_duration_ms = from.max_duration_ms();
  to.retry_max_attempts = from.retry_max_attempts();
  to.retry_on.clear();
  for (const std::string& text : from.retry_on()) {
    TUTTI_ASSIGN_OR_RETURN(const spec::FailureReason reason, FailureFromText(text));
    to.retry_on.push_back(reason);
  }
  to.preemptible = from.preemptible();
  to.reproducible = from.reproducible();
  for (const std::uint64_t id : from.depends_on()) to.depends_on.emplace_back(id);
  to.labels = LabelsFromProto(from.labels());
  to.topology = from.topology();
  to.model_key = from.model_key();
  if (!from.method().empty()) to.method = from.method();
  to.gpus_per_rank = from.gpus_per_rank();
  if (from.has_trial()) to.trial = TrialFromProto(from.trial());
  return to;
}

void ToProto(const core::QueueConfig& from, journal::Queue* to) {
  to->set_weight(from.weight);
  to->set_slots(from.slots);
  to->set_slots_max(from.slots_max);
  to->set_user_slots(from.user_slots);
  to->set_parent(from.parent);
  to->set_gpus(from.gpus);
  to->set_gpus_max(from.gpus_max);
  to->set_user_gpus(from.user_gpus);
}

core::QueueConfig FromProto(const journal::Queue& from) {
  return {.weight = from.weight(),
          .slots = from.slots(),
          .slots_max = from.slots_max(),
          .user_slots = from.user_slots(),
          .gpus = from.gpus(),
          .gpus_max = from.gpus_max(),
          .user_gpus = from.user_gpus(),
          .parent = from.parent()};
}

void ToProto(const core::Estimate& from, journal::Estimate* to) {
  to->set_memory_bytes_per_rank(from.memory_bytes_per_rank);
  to->set_disk_bytes(from.disk_bytes);
  to->set_export_bytes(from.export_bytes);
  to->set_total_steps(from.total_steps);
  to->set_rows(from.rows);
  to->set_tokens(from.tokens);
  to->set_duration_ms(from.duration_ms);
  for (const std::string& warning : from.warnings) to->add_warnings(warning);
}

core::Estimate FromProto(const journal::Estimate& from) {
  return {.memory_bytes_per_rank = from.memory_bytes_per_rank(),
          .disk_bytes = from.disk_bytes(),
          .export_bytes = from.export_bytes(),
          .total_steps = from.total_steps(),
          .rows = from.rows(),
          .tokens = from.tokens(),
          .duration_ms = from.duration_ms(),
          .warnings = {from.warnings().begin(), from.warnings().end()}};
}

void ToProto(const core::CheckpointFiles& from, journal::CheckpointFiles* to) {
  to->set_data_digest(from.data_digest);
  to->set_manifest_digest(from.manifest_digest);
  to->set_manifest_size_bytes(from.manifest_size_bytes);
}

core::CheckpointFiles FromProto(const journal::CheckpointFiles& from) {
  return {.data_digest = from.data_digest(),
          .manifest_digest = from.manifest_digest(),
          .manifest_size_bytes = from.manifest_size_bytes()};
}

Result<spec::FailureReason> FailureFromText(const std::string& text) {
  if (const auto reason = spec::ParseFailureReason(text)) return *reason;
  return Fail(ErrorCode::kInvalid, "unknown failure reason '" + text + "'");
}

Result<core::StopWhy> StopWhyFromText(const std::string& text) {
  if (const auto why = core::ParseStopWhy(text)) return *why;
  return Fail(ErrorCode::kInvalid, "unknown reason to stop '" + text + "'");
}

}  // namespace tutti::store
