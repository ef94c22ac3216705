#include <utility>

#include "scheduler/store/convert.h"
#include "scheduler/store/encode.h"

namespace tutti::store {
namespace {

using journal::Fact;

// One overload a fact: the fields it uses.
struct Encoder {
  Fact& out;

  void Job(Fact::Type type, JobId job) {
    out.set_type(type);
    out.set_job(job.value());
  }
  void Try(Fact::Type type, JobId job, Attempt attempt) {
    Job(type, job);
    out.set_attempt(Number(attempt));
  }

  void operator()(const core::JobSubmitted& f) {
    Job(Fact::JOB_SUBMITTED, f.job);
    ToProto(f.request, out.mutable_request());
    out.set_spec_json(f.spec_json);
    out.set_idempotency_key(f.idempotency_key);
    out.set_body_digest(f.body_digest);
    out.set_held(f.held);
  }
  void operator()(const core::JobAdmitted& f) {
    Job(Fact::JOB_ADMITTED, f.job);
    ToProto(f.estimate, out.mutable_estimate());
  }
  void operator()(const core::JobRejected& f) {
    Job(Fact::JOB_REJECTED, f.job);
    out.set_reason(std::string(spec::ToString(f.reason)));
    out.set_message(f.message);
    out.set_where(f.where);
  }
  void operator()(const core::GangPlaced& f) {
    Try(Fact::GANG_PLACED, f.job, f.attempt);
    out.set_size(f.size);
    MembersToProto(f.members, out.mutable_members());
    out.set_numerics_fingerprint(f.numerics_fingerprint);
    out.set_bits_changed(f.bits_changed);
  }
  void operator()(const core::GangStarted& f) {
    Try(Fact::GANG_STARTED, f.job, f.attempt);
    out.set_step(f.from_step);
  }
  void operator()(const core::StopRequested& f) {
    Try(Fact::STOP_REQUESTED, f.job, f.attempt);
    out.set_reason(std::string(core::ToString(f.why)));
  }
  void operator()(const core::CheckpointCommitted& f) {
    Try(Fact::CHECKPOINT_COMMITTED, f.job, f.attempt);
    out.set_step(f.step);
    out.set_path(f.path);
    out.set_digest(f.state_digest);
    out.set_size_bytes(f.size_bytes);
    ToProto(f.files, out.mutable_checkpoint_files());
    out.set_best_step(f.best_step);
    out.set_keep(f.keep);
  }
  void operator()(const core::GangReleased& f) {
    Try(Fact::GANG_RELEASED, f.job, f.attempt);
    out.set_reason(std::string(core::ToString(f.why)));
    out.set_step(f.step);
    out.set_ran_ms(f.ran_ms);
    out.set_steps_ms(f.steps_ms);
  }
  void operator()(const core::AttemptFailed& f) {
    Try(Fact::ATTEMPT_FAILED, f.job, f.attempt);
    out.set_reason(std::string(spec::ToString(f.reason)));
    out.set_message(f.message);
    out.set_step(f.step);
    out.set_ran_ms(f.ran_ms);
    out.set_steps_ms(f.steps_ms);
  }
  void operator()(const core::JobSucceeded& f) {
    Try(Fact::JOB_SUCCEEDED, f.job, f.attempt);
    out.set_digest(f.model_digest);
    FilesToProto(f.files, out.mutable_files());
    out.set_metrics_json(f.metrics_json);
    out.set_memory_bytes(f.memory_peak_bytes);
    out.set_step(f.step);
    out.set_launch_ms(f.launch_ms);
    out.set_ran_ms(f.ran_ms);
    out.set_steps_ms(f.steps_ms);
  }
  void operator()(const core::JobFailed& f) {
    Job(Fact::JOB_FAILED, f.job);
    out.set_reason(std::string(spec::ToString(f.reason)));
    out.set_message(f.message);
  }
  void operator()(const core::JobCancelled& f) {
    Job(Fact::JOB_CANCELLED, f.job);
    out.set_message(f.message);
  }
  void operator()(const core::RungReached& f) {
    Try(Fact::RUNG_REACHED, f.job, f.attempt);
    out.set_rung(f.rung);
    out.set_step(f.step);
    out.set_value(f.value);
  }
  void operator()(const core::JobPaused& f) { Job(Fact::JOB_PAUSED, f.job); }
  void operator()(const core::JobResumed& f) {
    Job(Fact::JOB_RESUMED, f.job);
    out.set_size(f.ranks);
  }
  void operator()(const core::JobResized& f) {
    Job(Fact::JOB_RESIZED, f.job);
    out.set_size(f.ranks);
  }
  void operator()(const core::HoldReleased& f) { Job(Fact::HOLD_RELEASED, f.job); }
  void operator()(const core::JobPriorityChanged& f) {
    Job(Fact::JOB_PRIORITY_CHANGED, f.job);
    out.set_priority(f.priority);
  }
  void operator()(const core::OtherNumericsAllowed& f) { Job(Fact::OTHER_NUMERICS_ALLOWED, f.job); }
  void operator()(const core::JobArchived& f) { Job(Fact::JOB_ARCHIVED, f.job); }
  void operator()(const core::NodeRegistered& f) {
    out.set_type(Fact::NODE_REGISTERED);
    out.set_node(f.node.value());
    out.set_name(f.name);
    out.set_session(f.session);
    out.set_version(f.version);
    out.set_slots(f.slots);
    out.set_cores(f.cores);
    out.set_memory_bytes(f.memory_bytes);
    out.set_disk_bytes(f.disk_bytes);
    out.set_cpu_model(f.cpu_model);
    out.set_numerics_fingerprint(f.numerics_fingerprint);
    LabelsToProto(f.labels, out.mutable_labels());
    out.set_gpus(f.gpus);
    out.set_gpu_model(f.gpu_model);
  }
  void operator()(const core::NodeLost& f) {
    out.set_type(Fact::NODE_LOST);
    out.set_node(f.node.value());
  }
  void operator()(const core::NodeLeft& f) {
    out.set_type(Fact::NODE_LEFT);
    out.set_node(f.node.value());
  }
  void operator()(const core::NodeDrained& f) {
    out.set_type(Fact::NODE_DRAINED);
    out.set_node(f.node.value());
    out.set_draining(f.draining);
  }
  void operator()(const core::QueueSet& f) {
    out.set_type(Fact::QUEUE_SET);
    out.set_name(f.name);
    ToProto(f.config, out.mutable_queue());
  }
  void operator()(const core::PolicySet& f) {
    out.set_type(Fact::POLICY_SET);
    out.set_policy(f.policy);
  }
  void operator()(const core::UsageCharged& f) {
    out.set_type(Fact::USAGE_CHARGED);
    out.set_passed_ms(f.passed_ms);
    out.set_charged_ms(f.charged_ms);
  }
  void operator()(const core::CoordinatorStarted& f) {
    out.set_type(Fact::COORDINATOR_STARTED);
    out.set_generation(f.generation);
  }
};

Result<core::Fact> ReadFact(const Fact& in) {
  const JobId job(in.job());
  const NodeId node(in.node());
  const Attempt attempt{in.attempt()};
  const WallTime at{in.at_unix_ms()};
  switch (in.type()) {
    case Fact::JOB_SUBMITTED: {
      TUTTI_ASSIGN_OR_RETURN(core::JobRequest request, FromProto(in.request()));
      return core::JobSubmitted{.job = job,
                                .request = std::move(request),
                                .spec_json = in.spec_json(),
                                .idempotency_key = in.idempotency_key(),
                                .body_digest = in.body_digest(),
                                .held = in.held(),
                                .at = at};
    }
    case Fact::JOB_ADMITTED:
      return core::JobAdmitted{.job = job, .estimate = FromProto(in.estimate()), .at = at};
    case Fact::JOB_REJECTED: {
      TUTTI_ASSIGN_OR_RETURN(const auto reason, FailureFromText(in.reason()));
      return core::JobRejected{
          .job = job, .reason = reason, .message = in.message(), .where = in.where(), .at = at};
    }
    case Fact::GANG_PLACED:
      return core::GangPlaced{.job = job,
                              .attempt = attempt,
                              .size = in.size(),
                              .members = MembersFromProto(in.members()),
                              .numerics_fingerprint = in.numerics_fingerprint(),
                              .bits_changed = in.bits_changed(),
                              .at = at};
    case Fact::GANG_STARTED:
      return core::GangStarted{.job = job, .attempt = attempt, .from_step = in.step(), .at = at};
    case Fact::STOP_REQUESTED: {
      TUTTI_ASSIGN_OR_RETURN(const auto why, StopWhyFromText(in.reason()));
      return core::StopRequested{.job = job, .attempt = attempt, .why = why, .at = at};
    }
    case Fact::CHECKPOINT_COMMITTED:
      return core::CheckpointCommitted{.job = job,
                                       .attempt = attempt,
                                       .step = in.step(),
                                       .path = in.path(),
                                       .state_digest = in.digest(),
                                       .size_bytes = in.size_bytes(),
                                       .at = at,
                                       .files = FromProto(in.checkpoint_files()),
                                       .best_step = in.best_step(),
                                       .keep = in.keep()};
    case Fact::GANG_RELEASED: {
      TUTTI_ASSIGN_OR_RETURN(const auto why, StopWhyFromText(in.reason()));
      return core::GangReleased{.job = job,
                                .attempt = attempt,
                                .why = why,
                                .step = in.step(),
                                .ran_ms = in.ran_ms(),
                                .at = at,
                                .steps_ms = in.steps_ms()};
    }
    case Fact::ATTEMPT_FAILED: {
      TUTTI_ASSIGN_OR_RETURN(const auto reason, FailureFromText(in.reason()));
      return core::AttemptFailed{.job = job,
                                 .attempt = attempt,
                                 .reason = reason,
                                 .message = in.message(),
                                 .step = in.step(),
                                 .ran_ms = in.ran_ms(),
                                 .at = at,
                                 .steps_ms = in.steps_ms()};
    }
    case Fact::JOB_SUCCEEDED:
      return core::JobSucceeded{.job = job,
                                .attempt = attempt,
                                .model_digest = in.digest(),
                                .files = FilesFromProto(in.files()),
                                .metrics_json = in.metrics_json(),
                                .memory_peak_bytes = in.memory_bytes(),
                                .step = in.step(),
                                .ran_ms = in.ran_ms(),
                                .at = at,
                                .launch_ms = in.launch_ms(),
                                .steps_ms = in.steps_ms()};
    case Fact::JOB_FAILED: {
      TUTTI_ASSIGN_OR_RETURN(const auto reason, FailureFromText(in.reason()));
      return core::JobFailed{.job = job, .reason = reason, .message = in.message(), .at = at};
    }
    case Fact::JOB_CANCELLED:
      return core::JobCancelled{.job = job, .at = at, .message = in.message()};
    case Fact::RUNG_REACHED:
      return core::RungReached{.job = job,
                               .attempt = attempt,
                               .rung = in.rung(),
                               .step = in.step(),
                               .value = in.value(),
                               .at = at};
    case Fact::JOB_PAUSED:
      return core::JobPaused{.job = job, .at = at};
    case Fact::JOB_RESUMED:
      return core::JobResumed{.job = job, .ranks = in.size(), .at = at};
    case Fact::JOB_RESIZED:
      return core::JobResized{.job = job, .ranks = in.size(), .at = at};
    case Fact::HOLD_RELEASED:
      return core::HoldReleased{.job = job, .at = at};
    case Fact::JOB_PRIORITY_CHANGED:
      return core::JobPriorityChanged{.job = job, .priority = in.priority(), .at = at};
    case Fact::OTHER_NUMERICS_ALLOWED:
      return core::OtherNumericsAllowed{.job = job, .at = at};
    case Fact::JOB_ARCHIVED:
      return core::JobArchived{.job = job, .at = at};
    case Fact::NODE_REGISTERED:
      return core::NodeRegistered{.node = node,
                                  .name = in.name(),
                                  .session = in.session(),
                                  .version = in.version(),
                                  .slots = in.slots(),
                                  .cores = in.cores(),
                                  .memory_bytes = in.memory_bytes(),
                                  .disk_bytes = in.disk_bytes(),
                                  .cpu_model = in.cpu_model(),
                                  .numerics_fingerprint = in.numerics_fingerprint(),
                                  .at = at,
                                  .labels = LabelsFromProto(in.labels()),
                                  .gpus = in.gpus(),
                                  .gpu_model = in.gpu_model()};
    case Fact::NODE_LOST:
      return core::NodeLost{.node = node, .at = at};
    case Fact::NODE_LEFT:
      return core::NodeLeft{.node = node, .at = at};
    case Fact::NODE_DRAINED:
      return core::NodeDrained{.node = node, .draining = in.draining(), .at = at};
    case Fact::QUEUE_SET:
      return core::QueueSet{.name = in.name(), .config = FromProto(in.queue()), .at = at};
    case Fact::POLICY_SET:
      return core::PolicySet{.policy = in.policy(), .at = at};
    case Fact::USAGE_CHARGED:
      return core::UsageCharged{
          .passed_ms = in.passed_ms(), .charged_ms = in.charged_ms(), .at = at};
    case Fact::COORDINATOR_STARTED:
      return core::CoordinatorStarted{.generation = in.generation(), .at = at};
    case Fact::UNKNOWN:
    case journal::Fact_Type_Fact_Type_INT_MIN_SENTINEL_DO_NOT_USE_:
    case journal::Fact_Type_Fact_Type_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return Fail(ErrorCode::kInvalid, "unknown fact type " + std::to_string(in.type()));
}

}  // namespace

std::string EncodeFact(const core::Fact& fact) {
  Fact out;
  out.set_at_unix_ms(TimeOf(fact).unix_ms);
  std::visit(Encoder{out}, fact);
  return out.SerializeAsString();
}

Result<core::Fact> DecodeFact(std::string_view bytes) {
  Fact in;
  if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Fail(ErrorCode::kInvalid, "a fact is not readable as protobuf");
  }
  return ReadFact(in);
}

const JobId* JobOf(const core::Fact& fact) {
  return std::visit(
      [](const auto& f) -> const JobId* {
        if constexpr (requires { f.job; }) {
          return &f.job;
        } else {
          return nullptr;
        }
      },
      fact);
}

WallTime TimeOf(const core::Fact& fact) {
  return std::visit([](const auto& f) { return f.at; }, fact);
}

}  // namespace tutti::store
