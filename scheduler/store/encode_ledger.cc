#include <utility>

#include "scheduler/store/convert.h"
#include "scheduler/store/encode.h"

namespace tutti::store {
namespace {

void GangToProto(const core::Gang& from, journal::Gang* to) {
  to->set_attempt(Number(from.attempt));
  to->set_size(from.size);
  MembersToProto(from.members, to->mutable_members());
  to->set_memory_bytes_per_rank(from.memory_bytes_per_rank);
}

core::Gang GangFromProto(const journal::Gang& from) {
  return {.attempt = Attempt{from.attempt()},
          .size = from.size(),
          .members = MembersFromProto(from.members()),
          .memory_bytes_per_rank = from.memory_bytes_per_rank()};
}

struct PhaseEncoder {
  journal::Job& out;

  void operator()(const core::Validating&) { out.mutable_validating(); }
  void operator()(const core::Queued& p) { out.mutable_queued()->set_recovering(p.recovering); }
  void operator()(const core::Starting& p) {
    GangToProto(p.gang, out.mutable_starting()->mutable_gang());
    out.mutable_starting()->set_recovering(p.recovering);
  }
  void operator()(const core::Running& p) {
    GangToProto(p.gang, out.mutable_running()->mutable_gang());
    out.mutable_running()->set_from_step(p.from_step);
  }
  void operator()(const core::Stopping& p) {
    GangToProto(p.gang, out.mutable_stopping()->mutable_gang());
    out.mutable_stopping()->set_why(std::string(core::ToString(p.why)));
  }
  void operator()(const core::Paused&) { out.mutable_paused(); }
  void operator()(const core::Succeeded& p) {
    auto* to = out.mutable_succeeded();
    to->set_model_digest(p.model_digest);
    FilesToProto(p.files, to->mutable_files());
    to->set_metrics_json(p.metrics_json);
  }
  void operator()(const core::Failed& p) {
    auto* to = out.mutable_failed();
    to->set_reason(std::string(spec::ToString(p.reason)));
    to->set_message(p.message);
    to->set_where(p.where);
  }
  void operator()(const core::Cancelled& p) { out.mutable_cancelled()->set_message(p.message); }
};

Result<core::Phase> PhaseFromProto(const journal::Job& in) {
  switch (in.phase_case()) {
    case journal::Job::kValidating:
      return core::Validating{};
    case journal::Job::kQueued:
      return core::Queued{.recovering = in.queued().recovering()};
    case journal::Job::kStarting:
      return core::Starting{.gang = GangFromProto(in.starting().gang()),
                            .recovering = in.starting().recovering()};
    case journal::Job::kRunning:
      return core::Running{.gang = GangFromProto(in.running().gang()),
                           .from_step = in.running().from_step()};
    case journal::Job::kStopping: {
      TUTTI_ASSIGN_OR_RETURN(const auto why, StopWhyFromText(in.stopping().why()));
      return core::Stopping{.gang = GangFromProto(in.stopping().gang()), .why = why};
    }
    case journal::Job::kPaused:
      return core::Paused{};
    case journal::Job::kSucceeded:
      return core::Succeeded{.model_digest = in.succeeded().model_digest(),
                             .files = FilesFromProto(in.succeeded().files()),
                             .metrics_json = in.succeeded().metrics_json()};
    case journal::Job::kFailed: {
      TUTTI_ASSIGN_OR_RETURN(const auto reason, FailureFromText(in.failed().reason()));
      return core::Failed{
          .reason = reason, .message = in.failed().message(), .where = in.failed().where()};
    }
    case journal::Job::kCancelled:
      return core::Cancelled{.message = in.cancelled().message()};
    case journal::Job::PHASE_NOT_SET:
      break;
  }
  return Fail(ErrorCode::kInvalid, "a stored job has no state");
}

void AttemptToProto(const core::AttemptRecord& from, journal::AttemptRecord* to) {
  to->set_attempt(Number(from.attempt));
  to->set_ranks(from.ranks);
  for (const NodeId node : from.nodes) to->add_nodes(node.value());
  to->set_bits_changed(from.bits_changed);
  to->set_placed_at_unix_ms(from.placed_at.unix_ms);
  if (from.started_at) to->set_started_at_unix_ms(from.started_at->unix_ms);
  if (from.ended_at) to->set_ended_at_unix_ms(from.ended_at->unix_ms);
  to->set_end(static_cast<std::uint32_t>(from.end));
  if (from.stop_why) to->set_stop_why(std::string(core::ToString(*from.stop_why)));
  if (from.failure) to->set_failure(std::string(spec::ToString(*from.failure)));
  to->set_message(from.message);
  to->set_from_step(from.from_step);
  to->set_last_step(from.last_step);
  to->set_ran_ms(from.ran_ms);
  to->set_steps_ms(from.steps_ms);
  to->set_pace(from.pace);
}

Result<core::AttemptRecord> AttemptFromProto(const journal::AttemptRecord& from) {
  core::AttemptRecord to;
  to.attempt = Attempt{from.attempt()};
  to.ranks = from.ranks();
  for (const std::uint64_t node : from.nodes()) to.nodes.emplace_back(node);
  to.bits_changed = from.bits_changed();
  to.placed_at = WallTime{from.placed_at_unix_ms()};
  if (from.has_started_at_unix_ms()) to.started_at = WallTime{from.started_at_unix_ms()};
  if (from.has_ended_at_unix_ms()) to.ended_at = WallTime{from.ended_at_unix_ms()};
  if (from.end() > static_cast<std::uint32_t>(core::AttemptEnd::kFailed)) {
    return Fail(ErrorCode::kInvalid, "unknown end of an attempt");
  }
  to.end = static_cast<core::AttemptEnd>(from.end());
  if (from.has_stop_why()) {
    TUTTI_ASSIGN_OR_RETURN(to.stop_why, StopWhyFromText(from.stop_why()));
  }
  if (from.has_failure()) {
    TUTTI_ASSIGN_OR_RETURN(to.failure, FailureFromText(from.failure()));
  }
  to.message = from.message();
  to.from_step = from.from_step();
  to.last_step = from.last_step();
  to.ran_ms = from.ran_ms();
  to.steps_ms = from.steps_ms();
  to.pace = from.pace();
  return to;
}

void AverageToProto(const core::Average& from, journal::Average* to) {
  to->set_value(from.value);
  to->set_spread(from.spread);
  to->set_jobs(from.jobs);
}

core::Average AverageFromProto(const journal::Average& from) {
  return {.value = from.value(), .spread = from.spread(), .jobs = from.jobs()};
}

}  // namespace

std::string EncodeJob(const core::Job& job, std::uint64_t finish_order, SpecOfJob spec) {
  journal::Job out;
  out.set_id(job.id.value());
  out.set_sequence(job.sequence);
  out.set_clock_ms(job.clock_ms);
  ToProto(job.request, out.mutable_request());
  if (spec == SpecOfJob::kInRow) out.set_spec_json(job.spec_json);
  out.set_idempotency_key(job.idempotency_key);
  out.set_body_digest(job.body_digest);
  out.set_held(job.held);
  out.set_submitted_at_unix_ms(job.submitted_at.unix_ms);
  out.set_since_unix_ms(job.since.unix_ms);
  if (job.finished_at) out.set_finished_at_unix_ms(job.finished_at->unix_ms);
  out.set_finish_order(finish_order);
  if (job.estimate) ToProto(*job.estimate, out.mutable_estimate());
  out.set_attempt(Number(job.attempt));
  out.set_ranks_override(job.ranks_override);
  out.set_numerics_fingerprint(job.numerics_fingerprint);
  out.set_fruitless_attempts(job.fruitless_attempts);
  out.set_attempt_progressed(job.attempt_progressed);
  out.set_ran_ms(job.ran_ms);
  out.set_memory_peak_bytes(job.memory_peak_bytes);
  for (const double value : job.rungs) out.add_rungs(value);
  for (const auto& attempt : job.attempts) AttemptToProto(attempt, out.add_attempts());
  for (const core::CheckpointRecord& from : job.checkpoints) {
    auto* to = out.add_checkpoints();
    to->set_attempt(Number(from.attempt));
    to->set_step(from.step);
    to->set_path(from.path);
    to->set_state_digest(from.state_digest);
    to->set_size_bytes(from.size_bytes);
    to->set_committed_at_unix_ms(from.committed_at.unix_ms);
    ToProto(from.files, to->mutable_files());
  }
  std::visit(PhaseEncoder{out}, job.phase);
  return out.SerializeAsString();
}

Result<StoredJob> DecodeJob(std::string_view bytes) {
  journal::Job in;
  if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Fail(ErrorCode::kInvalid, "a stored job is not readable as protobuf");
  }
  StoredJob stored{.job = {}, .finish_order = in.finish_order()};
  core::Job& job = stored.job;
  job.id = JobId(in.id());
  job.sequence = in.sequence();
  job.clock_ms = in.clock_ms();
  TUTTI_ASSIGN_OR_RETURN(job.request, FromProto(in.request()));
  job.spec_json = in.spec_json();
  job.idempotency_key = in.idempotency_key();
  job.body_digest = in.body_digest();
  job.held = in.held();
  job.submitted_at = WallTime{in.submitted_at_unix_ms()};
  job.since = WallTime{in.since_unix_ms()};
  if (in.has_finished_at_unix_ms()) job.finished_at = WallTime{in.finished_at_unix_ms()};
  if (in.has_estimate()) job.estimate = FromProto(in.estimate());
  job.attempt = Attempt{in.attempt()};
  job.ranks_override = in.ranks_override();
  job.numerics_fingerprint = in.numerics_fingerprint();
  job.fruitless_attempts = in.fruitless_attempts();
  job.attempt_progressed = in.attempt_progressed();
  job.ran_ms = in.ran_ms();
  job.memory_peak_bytes = in.memory_peak_bytes();
  job.rungs.assign(in.rungs().begin(), in.rungs().end());
  for (const auto& from : in.attempts()) {
    TUTTI_ASSIGN_OR_RETURN(core::AttemptRecord attempt, AttemptFromProto(from));
    job.attempts.push_back(std::move(attempt));
  }
  for (const auto& from : in.checkpoints()) {
    job.checkpoints.push_back({.attempt = Attempt{from.attempt()},
                               .step = from.step(),
                               .path = from.path(),
                               .state_digest = from.state_digest(),
                               .size_bytes = from.size_bytes(),
                               .committed_at = WallTime{from.committed_at_unix_ms()},
                               .files = FromProto(from.files())});
  }
  TUTTI_ASSIGN_OR_RETURN(job.phase, PhaseFromProto(in));
  return stored;
}

std::string EncodeNode(const core::Node& node) {
  journal::Node out;
  out.set_id(node.id.value());
  out.set_name(node.name);
  out.set_state(static_cast<std::uint32_t>(node.state));
  out.set_session(node.session);
  out.set_version(node.version);
  out.set_slots(node.slots);
  out.set_cores(node.cores);
  out.set_memory_bytes(node.memory_bytes);
  out.set_cpu_model(node.cpu_model);
  out.set_numerics_fingerprint(node.numerics_fingerprint);
  out.set_registered_at_unix_ms(node.registered_at.unix_ms);
  out.set_draining(node.draining);
  out.set_disk_bytes(node.disk_bytes);
  LabelsToProto(node.labels, out.mutable_labels());
  for (const std::string& model : node.models) out.add_models(model);
  out.set_gpus(node.gpus);
  out.set_gpu_model(node.gpu_model);
  return out.SerializeAsString();
}

Result<core::Node> DecodeNode(std::string_view bytes) {
  journal::Node in;
  if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      in.state() > static_cast<std::uint32_t>(core::NodeState::kLeft)) {
    return Fail(ErrorCode::kInvalid, "a stored node is not readable");
  }
  core::Node node;
  node.id = NodeId(in.id());
  node.name = in.name();
  node.state = static_cast<core::NodeState>(in.state());
  node.session = in.session();
  node.version = in.version();
  node.slots = in.slots();
  node.cores = in.cores();
  node.memory_bytes = in.memory_bytes();
  node.cpu_model = in.cpu_model();
  node.numerics_fingerprint = in.numerics_fingerprint();
  node.registered_at = WallTime{in.registered_at_unix_ms()};
  node.draining = in.draining();
  node.disk_bytes = in.disk_bytes();
  node.labels = LabelsFromProto(in.labels());
  node.models.assign(in.models().begin(), in.models().end());
  node.gpus = in.gpus();
  node.gpu_model = in.gpu_model();
  return node;
}

std::string EncodeCounters(const Counters& counters) {
  journal::Counters out;
  out.set_generation(counters.generation);
  out.set_last_sequence(counters.last_sequence);
  out.set_facts_applied(counters.facts_applied);
  out.set_last_finished(counters.last_finished);
  out.set_policy(counters.sharing.policy);
  out.set_clock_ms(counters.sharing.clock_ms);
  for (const auto& [name, config] : counters.sharing.queues) {
    ToProto(config, &(*out.mutable_queues())[name]);
  }
  for (const auto& [who, usage] : counters.sharing.usage) {
    auto* to = out.add_usage();
    to->set_queue(who.queue);
    to->set_user(who.user);
    to->set_slot_ms(usage.slot_ms);
    to->set_recent_slot_ms(usage.recent_slot_ms);
    to->set_gpu_ms(usage.gpu_ms);
    to->set_recent_gpu_ms(usage.recent_gpu_ms);
  }
  auto* learned = out.mutable_learned();
  AverageToProto(counters.learned.pace, learned->mutable_pace());
  AverageToProto(counters.learned.launch, learned->mutable_launch());
  AverageToProto(counters.learned.ending, learned->mutable_ending());
  return out.SerializeAsString();
}

Result<Counters> DecodeCounters(std::string_view bytes) {
  journal::Counters in;
  if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Fail(ErrorCode::kInvalid, "the snapshot's counters are not readable");
  }
  Counters counters{.generation = in.generation(),
                    .last_sequence = in.last_sequence(),
                    .facts_applied = in.facts_applied(),
                    .last_finished = in.last_finished()};
  counters.sharing.policy = in.policy();
  counters.sharing.clock_ms = in.clock_ms();
  for (const auto& [name, queue] : in.queues()) counters.sharing.queues[name] = FromProto(queue);
  for (const auto& usage : in.usage()) {
    counters.sharing.usage[{usage.queue(), usage.user()}] = {
        .slot_ms = usage.slot_ms(),
        .gpu_ms = usage.gpu_ms(),
        .recent_slot_ms = usage.recent_slot_ms(),
        .recent_gpu_ms = usage.recent_gpu_ms()};
  }
  if (in.has_learned()) {
    counters.learned = {.pace = AverageFromProto(in.learned().pace()),
                        .launch = AverageFromProto(in.learned().launch()),
                        .ending = AverageFromProto(in.learned().ending())};
  }
  return counters;
}

}  // namespace tutti::store
