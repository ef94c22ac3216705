// What users ask of jobs.
#include <bit>
#include <set>

#include "common/base/check.h"
#include "scheduler/core/decision.h"
#include "scheduler/core/explain.h"
#include "scheduler/core/place.h"

namespace tutti::core {
namespace {

using internal::Concat;

constexpr std::size_t kDependenciesMax = 100;  // of a job

Unexpected Conflict(const Decision& decision, const Job& job, std::string_view what,
                    std::string hint = {}) {
  const spec::JobState state = StateOf(decision.state.ledger, job);
  return Fail(ErrorCode::kConflict,
              Concat("job ", job.id, " is ", spec::ToString(state), ": it cannot be ", what), {},
              std::move(hint));
}

Status CheckRequest(const JobRequest& r) {
  const bool powers = std::has_single_bit(r.ranks_min) && std::has_single_bit(r.ranks_max) &&
                      std::has_single_bit(r.shards);
  if (!powers || r.ranks_min > r.ranks_max || r.ranks_max > r.shards) {
    return Fail(ErrorCode::kInvalid, "ranks and shards are powers of two with min <= max <= shards",
                "resources.ranks");
  }
  constexpr std::uint32_t kSlotsMax = 1 << 20;  // keeps ranks × cpus_per_rank far from overflow
  if (r.cpus_per_rank == 0 || r.cpus_per_rank > kSlotsMax / r.ranks_max) {
    return Fail(ErrorCode::kInvalid, "cpus_per_rank is out of range", "resources.cpus_per_rank");
  }
  if (r.gpus_per_rank > kSlotsMax / r.ranks_max) {
    return Fail(ErrorCode::kInvalid, "gpus_per_rank is out of range", "resources.gpus_per_rank");
  }
  if (r.memory_bytes_per_rank > (std::uint64_t{1} << 50)) {
    return Fail(ErrorCode::kInvalid, "memory_per_rank is out of range",
                "resources.memory_per_rank");
  }
  if (r.name.empty()) return Fail(ErrorCode::kInvalid, "a job needs a name", "name");
  if (r.depends_on.size() > kDependenciesMax) {
    return Fail(ErrorCode::kInvalid,
                Concat("a job depends on at most ", kDependenciesMax, " others"),
                "schedule.depends_on");
  }
  return {};
}

// What it depends on may still succeed.
Status CheckDependencies(const Ledger& ledger, const JobRequest& request) {
  for (const JobId id : request.depends_on) {
    const Job* job = FindJob(ledger, id);
    if (job == nullptr) {
      return Fail(ErrorCode::kInvalid, Concat("there is no job ", id), "schedule.depends_on",
                  "'tutti ps --all' shows those there are");
    }
    if (IsFinished(*job) && !std::holds_alternative<Succeeded>(job->phase)) {
      return Fail(
          ErrorCode::kInvalid,
          Concat("job ", id, " (", job->request.name, ") is ",
                 spec::ToString(StateOf(ledger, *job)), ": what depends on it would never start"),
          "schedule.depends_on", Concat("run it again: tutti clone ", id));
    }
  }
  return {};
}

// Whether the job may go on with a gang of this size.
Status CheckSize(const Decision& decision, const Job& job, std::uint32_t ranks) {
  if (!std::has_single_bit(ranks) || ranks > job.request.shards) {
    return Fail(ErrorCode::kInvalid,
                Concat("ranks must be a power of two and at most training.shards, which is ",
                       job.request.shards),
                "ranks");
  }
  return CouldEverFit(decision.state.ledger, job.request, ranks, MemoryPerRank(job));
}

// `more`: jobs that the same Step submits before.
Status SubmitOne(Decision& decision, const Submit& input, std::size_t more) {
  const Ledger& ledger = decision.state.ledger;
  if (!input.idempotency_key.empty()) {
    if (const JobId* earlier = ledger.by_idempotency_key.Find(input.idempotency_key)) {
      if (ledger.jobs.at(*earlier).body_digest != input.body_digest) {
        return Fail(ErrorCode::kConflict, "this idempotency key came with another request before",
                    "Idempotency-Key", "use a fresh key for each new job");
      }
      decision.out.reply = JobReply{*earlier, false};
      return {};
    }
  }
  TUTTI_RETURN_IF_ERROR(CheckRequest(input.request));
  if (FindJob(ledger, input.job) != nullptr) {
    return Fail(ErrorCode::kUnavailable, "the job id is taken", {}, "try again");
  }
  if (ledger.jobs.size() - ledger.finished.size() + more >= kLiveJobsMax) {
    return Fail(ErrorCode::kQuota, Concat("there are ", kLiveJobsMax, " unfinished jobs"), {},
                "wait until some have finished");
  }
  TUTTI_RETURN_IF_ERROR(CheckDependencies(ledger, input.request));
  TUTTI_RETURN_IF_ERROR(CouldEverFit(ledger, input.request, input.request.ranks_min,
                                     input.request.memory_bytes_per_rank));
  decision.Say(JobSubmitted{input.job, input.request, input.spec_json, input.idempotency_key,
                            input.body_digest, input.held, decision.at});
  decision.out.reply = JobReply{input.job, true};
  return {};
}

}  // namespace

Status Decide(Decision& decision, const Submit& input) { return SubmitOne(decision, input, 0); }

Status Decide(Decision& decision, const SubmitSweep& input) {
  if (input.trials.empty() || input.trials.size() > kTrialsMax) {
    return Fail(ErrorCode::kInvalid, Concat("a sweep has 1 to ", kTrialsMax, " trials"), "sweep");
  }
  SweepReply reply;
  std::set<JobId> taken;
  for (const Submit& trial : input.trials) {
    if (!taken.insert(trial.job).second) {
      return Fail(ErrorCode::kUnavailable, "a job id is taken", {}, "try again");
    }
    TUTTI_RETURN_IF_ERROR(SubmitOne(decision, trial, reply.jobs.size()));
    const auto& job = std::get<JobReply>(decision.out.reply);
    reply.jobs.push_back(job.job);
    reply.created = job.created;
  }
  decision.out.reply = std::move(reply);
  return {};
}

Status Decide(Decision& decision, const Cancel& input) {
  TUTTI_ASSIGN_OR_RETURN(const Job* job, NeedJob(decision.state.ledger, input.job));
  if (IsFinished(*job)) return Conflict(decision, *job, "cancelled");
  decision.out.reply = JobReply{job->id, false};
  if (ActiveGang(*job) == nullptr) {
    if (std::holds_alternative<Validating>(job->phase)) {
      decision.See(InspectAnswered{job->id});
    }
    decision.Say(JobCancelled{job->id, decision.at});
    return {};
  }
  const auto* stopping = std::get_if<Stopping>(&job->phase);
  if (stopping == nullptr || stopping->why != StopWhy::kCancel) {
    RequestStop(decision, *job, StopWhy::kCancel);
  }
  return {};
}

Status Decide(Decision& decision, const Pause& input) {
  TUTTI_ASSIGN_OR_RETURN(const Job* job, NeedJob(decision.state.ledger, input.job));
  if (IsFinished(*job)) return Conflict(decision, *job, "paused");
  decision.out.reply = JobReply{job->id, false};
  if (std::holds_alternative<Validating>(job->phase)) {
    return Conflict(decision, *job, "paused", "wait until it is queued, or cancel it");
  }
  if (std::holds_alternative<Paused>(job->phase)) return {};
  if (std::holds_alternative<Queued>(job->phase)) {
    decision.Say(JobPaused{job->id, decision.at});
    return {};
  }
  if (const auto* stopping = std::get_if<Stopping>(&job->phase)) {
    if (stopping->why == StopWhy::kPause) return {};
    if (stopping->why == StopWhy::kCancel || stopping->why == StopWhy::kTimeout) {
      return Conflict(decision, *job, "paused");
    }
  }
  RequestStop(decision, *job, StopWhy::kPause);
  return {};
}

Status Decide(Decision& decision, const Resume& input) {
  TUTTI_ASSIGN_OR_RETURN(const Job* job, NeedJob(decision.state.ledger, input.job));
  if (!std::holds_alternative<Paused>(job->phase)) {
    const bool pausing = std::holds_alternative<Stopping>(job->phase);
    return Conflict(decision, *job, "resumed",
                    pausing     ? "wait until it is paused"
                    : job->held ? "release it: it is held"
                                : "only a paused job can be");
  }
  if (input.ranks != 0) TUTTI_RETURN_IF_ERROR(CheckSize(decision, *job, input.ranks));
  decision.Say(JobResumed{job->id, input.ranks, decision.at});
  decision.out.reply = JobReply{job->id, false};
  return {};
}

Status Decide(Decision& decision, const Resize& input) {
  TUTTI_ASSIGN_OR_RETURN(const Job* job, NeedJob(decision.state.ledger, input.job));
  if (IsFinished(*job)) return Conflict(decision, *job, "resized");
  const auto* stopping = std::get_if<Stopping>(&job->phase);
  if (stopping != nullptr &&
      (stopping->why == StopWhy::kCancel || stopping->why == StopWhy::kTimeout)) {
    return Conflict(decision, *job, "resized");
  }
  TUTTI_RETURN_IF_ERROR(CheckSize(decision, *job, input.ranks));
  decision.out.reply = JobReply{job->id, false};
  if (job->ranks_override != input.ranks) {
    decision.Say(JobResized{job->id, input.ranks, decision.at});
  }
  const Gang* gang = ActiveGang(*job);
  // One that stops already takes the new size at its next placement.
  if (gang != nullptr && stopping == nullptr && gang->size != input.ranks) {
    RequestStop(decision, *job, StopWhy::kResize);
  }
  return {};
}

Status Decide(Decision& decision, const CheckpointNow& input) {
  TUTTI_ASSIGN_OR_RETURN(const Job* job, NeedJob(decision.state.ledger, input.job));
  if (!std::holds_alternative<Running>(job->phase)) {
    return Conflict(decision, *job, "checkpointed", "only a running job can be");
  }
  decision.Do(CheckpointGang{ActiveGang(*job)->members.front().node, job->id, job->attempt});
  decision.out.reply = JobReply{job->id, false};
  return {};
}

Status Decide(Decision& decision, const ReleaseHold& input) {
  TUTTI_ASSIGN_OR_RETURN(const Job* job, NeedJob(decision.state.ledger, input.job));
  if (IsFinished(*job)) return Conflict(decision, *job, "released");
  if (!job->held) {
    return Fail(ErrorCode::kConflict, Concat("job ", job->id, " is not held"));
  }
  decision.Say(HoldReleased{job->id, decision.at});
  decision.out.reply = JobReply{job->id, false};
  return {};
}

Status Decide(Decision& decision, const SetPriority& input) {
  TUTTI_ASSIGN_OR_RETURN(const Job* job, NeedJob(decision.state.ledger, input.job));
  if (IsFinished(*job)) return Conflict(decision, *job, "given a priority");
  if (input.priority != job->request.priority) {
    decision.Say(JobPriorityChanged{job->id, input.priority, decision.at});
  }
  decision.out.reply = JobReply{job->id, false};
  return {};
}

Status Decide(Decision& decision, const AllowOtherNumerics& input) {
  TUTTI_ASSIGN_OR_RETURN(const Job* job, NeedJob(decision.state.ledger, input.job));
  if (IsFinished(*job)) return Conflict(decision, *job, "computed with other numerics");
  if (job->request.reproducible) decision.Say(OtherNumericsAllowed{job->id, decision.at});
  decision.out.reply = JobReply{job->id, false};
  return {};
}

}  // namespace tutti::core
