// What workers report of gangs and inspections, and how an attempt ends.
#include <algorithm>

#include "common/base/check.h"
#include "scheduler/core/decision.h"
#include "scheduler/core/disk.h"
#include "scheduler/core/place.h"

namespace tutti::core {
namespace {

using internal::Concat;

constexpr std::uint32_t kInspectFailuresMax = 5;

std::uint64_t WholeMs(Duration time) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
  return ms > 0 ? static_cast<std::uint64_t>(ms) : 0;
}

struct AttemptTimes {
  std::uint64_t ran_ms = 0;
  std::uint64_t launch_ms = 0;
  std::uint64_t steps_ms = 0;  // 0 = not known
};

// Of the newest attempt, which ends with that step.
AttemptTimes MeasureAttempt(const Decision& decision, const Job& job, std::uint64_t step) {
  const Liveness& liveness = decision.state.liveness;
  const GangTrack* track = TrackOf(liveness, job);
  if (track == nullptr) return {};
  AttemptTimes times{.ran_ms = WholeMs(decision.now - track->first_noticed)};
  const auto seen = liveness.progress.find(job.id);
  const std::uint64_t from = job.attempts.back().from_step;
  if (!track->started || seen == liveness.progress.end() || seen->second.attempt != job.attempt ||
      seen->second.step <= from || step <= from) {
    return times;
  }
  times.launch_ms = WholeMs(*track->started - track->first_noticed);
  // Those after the newest word took as long as those before it, and no longer than there was.
  const double told = static_cast<double>(WholeMs(seen->second.heard - *track->started));
  const double share =
      static_cast<double>(step - from) / static_cast<double>(seen->second.step - from);
  const double most = static_cast<double>(WholeMs(decision.now - *track->started));
  times.steps_ms = static_cast<std::uint64_t>(std::min(told * share, most));
  return times;
}

// The job whose active attempt `node` reports on; nullptr when the report is stale.
template <typename Report>
const Job* Reported(const Decision& decision, const Report& report) {
  const Job* job = FindJob(decision.state.ledger, report.job);
  if (job == nullptr || job->attempt != report.attempt) return nullptr;
  const Gang* gang = ActiveGang(*job);
  return gang != nullptr && IsMember(*gang, report.node) ? job : nullptr;
}

bool FromFirstMember(const Job& job, NodeId node) {
  return ActiveGang(job)->members.front().node == node;
}

template <typename Report>
Status Fence(Decision& decision, const Report& report) {
  decision.Do(StopGang{report.node, report.job, report.attempt, StopMode::kKill, "stale"});
  return {};
}

// The attempt failed: once more, or the end of the job.
void RetryOrFail(Decision& decision, const Job& job, const Ending& ending) {
  const JobRequest& request = job.request;
  const bool retried = std::find(request.retry_on.begin(), request.retry_on.end(), ending.reason) !=
                       request.retry_on.end();
  const std::uint32_t fruitless = job.attempt_progressed ? 0 : job.fruitless_attempts + 1;
  if (retried && fruitless < request.retry_max_attempts) return;
  std::string message = ending.message;
  if (retried) {
    message +=
        Concat("; gave up after ", fruitless, fruitless == 1 ? " attempt" : " attempts in a row",
               " without a new checkpoint");
  }
  decision.Say(JobFailed{job.id, ending.reason, std::move(message), decision.at});
}

}  // namespace

void EndAttempt(Decision& decision, const Job& job, const Ending& ending) {
  const auto* stopping = std::get_if<Stopping>(&job.phase);
  const bool cancelling = stopping != nullptr && stopping->why == StopWhy::kCancel;
  const AttemptTimes times = MeasureAttempt(decision, job, ending.step);
  decision.See(GangGone{job.id, job.attempt});

  if (ending.outcome == GangOutcome::kSucceeded && !cancelling) {
    decision.Say(JobSucceeded{job.id, job.attempt, ending.model_digest, ending.files,
                              ending.metrics_json, ending.memory_peak_bytes, ending.step,
                              times.ran_ms, decision.at, times.launch_ms, times.steps_ms});
    decision.Do(RegisterModel{job.id});
    return;
  }
  const GangReleased released{
      job.id,        job.attempt,  stopping == nullptr ? StopWhy::kDrain : stopping->why,
      ending.step,   times.ran_ms, decision.at,
      times.steps_ms};
  const AttemptFailed failed{job.id,      job.attempt,  ending.reason, ending.message,
                             ending.step, times.ran_ms, decision.at,   times.steps_ms};
  if (stopping == nullptr) {
    if (ending.outcome == GangOutcome::kReleased) {
      decision.Say(released);
    } else {
      decision.Say(failed);
      RetryOrFail(decision, job, ending);
    }
    return;
  }
  const bool gave_way = ending.outcome != GangOutcome::kFailed;
  switch (stopping->why) {
    case StopWhy::kCancel:
      decision.Say(released);
      decision.Say(JobCancelled{job.id, decision.at});
      return;
    case StopWhy::kTimeout:
      decision.Say(released);
      decision.Say(
          JobFailed{job.id, spec::FailureReason::kTimeout,
                    Concat("ran longer than schedule.max_duration, which is ",
                           FormatDuration(std::chrono::milliseconds(job.request.max_duration_ms))),
                    decision.at});
      return;
    case StopWhy::kRung:
      if (!gave_way) {
        decision.Say(failed);
        RetryOrFail(decision, job, ending);
        return;
      }
      decision.Say(released);
      decision.Say(JobPaused{job.id, decision.at});
      return;
    case StopWhy::kPause:
      if (gave_way) {
        decision.Say(released);
      } else {
        decision.Say(failed);
      }
      decision.Say(JobPaused{job.id, decision.at});
      return;
    case StopWhy::kResize:
    case StopWhy::kPreempt:
    case StopWhy::kDrain:
      if (gave_way) {
        decision.Say(released);
      } else {
        decision.Say(failed);
        RetryOrFail(decision, job, ending);
      }
      return;
  }
}

Status Decide(Decision& decision, const ReportStarted& input) {
  const Job* job = Reported(decision, input);
  if (job == nullptr) return Fence(decision, input);
  if (!FromFirstMember(*job, input.node)) return {};
  if (std::holds_alternative<Starting>(job->phase)) {
    decision.Say(GangStarted{job->id, job->attempt, input.from_step, decision.at});
    GangHeard heard{job->id, job->attempt, {}};
    for (const GangMember& member : ActiveGang(*job)->members) heard.nodes.push_back(member.node);
    decision.See(std::move(heard));
  }
  return {};
}

Status Decide(Decision& decision, const ReportCheckpoint& input) {
  const Job* job = Reported(decision, input);
  if (job == nullptr) return Fence(decision, input);
  for (const CheckpointRecord& known : job->checkpoints) {
    if (known.attempt == input.attempt && known.step == input.step) return {};
  }
  decision.Say(CheckpointCommitted{job->id, job->attempt, input.step, input.path,
                                   input.state_digest, input.size_bytes, decision.at, input.files,
                                   input.best_step, input.keep});
  return {};
}

Status Decide(Decision& decision, const ReportEnded& input) {
  const Job* job = Reported(decision, input);
  if (job == nullptr) return {};  // of an attempt that ended here already
  const bool as_planned =
      input.outcome == GangOutcome::kSucceeded || input.outcome == GangOutcome::kReleased;
  // Rank 0's machine speaks for the gang when all goes well; the others end a moment before or
  // after.
  if (as_planned && !FromFirstMember(*job, input.node)) return {};
  Ending ending{input.outcome,           input.reason,       input.message, input.step,
                input.memory_peak_bytes, input.model_digest, input.files,   input.metrics_json};
  if (input.outcome == GangOutcome::kKilled) {
    // Unless we asked, the worker cut itself off (its lease ran out).
    ending.reason = spec::FailureReason::kWorkerLost;
    if (ending.message.empty()) ending.message = "the worker killed the gang";
  }
  for (const GangMember& member : ActiveGang(*job)->members) {
    if (member.node != input.node) {
      decision.Do(StopGang{member.node, job->id, job->attempt, StopMode::kKill, "peers ended"});
    }
  }
  EndAttempt(decision, *job, ending);
  return {};
}

Status Decide(Decision& decision, const InspectFinished& input) {
  const Job* job = FindJob(decision.state.ledger, input.job);
  if (job == nullptr || !std::holds_alternative<Validating>(job->phase)) return {};
  if (input.outcome == InspectOutcome::kUnavailable) {
    const auto track = decision.state.liveness.inspections.find(input.job);
    const bool last = track != decision.state.liveness.inspections.end() &&
                      track->second.failures + 1 >= kInspectFailuresMax;
    decision.See(InspectAnswered{input.job, !last});
    if (last) {
      decision.Say(JobRejected{job->id, spec::FailureReason::kInternal,
                               "could not be inspected: " + input.message, input.where,
                               decision.at});
    }
    return {};
  }
  decision.See(InspectAnswered{input.job});
  if (input.outcome == InspectOutcome::kRejected) {
    decision.Say(JobRejected{job->id, input.reason, input.message, input.where, decision.at});
    return {};
  }
  const std::uint64_t memory = job->request.memory_bytes_per_rank != 0
                                   ? job->request.memory_bytes_per_rank
                                   : input.estimate.memory_bytes_per_rank;
  Status fits = LimitHolds(job->request, input.estimate);
  if (fits) {
    fits = CouldEverFit(decision.state.ledger, job->request, job->request.ranks_min, memory);
  }
  if (!fits) {
    decision.Say(JobRejected{job->id, spec::FailureReason::kOom, fits.error().message,
                             fits.error().where, decision.at});
    return {};
  }
  if (const Status holds = CouldEverHold(decision.state, input.estimate); !holds) {
    decision.Say(JobRejected{job->id, spec::FailureReason::kDiskFull,
                             holds.error().message + " (" + holds.error().hint + ")",
                             holds.error().where, decision.at});
    return {};
  }
  decision.Say(JobAdmitted{job->id, input.estimate, decision.at});
  return {};
}

}  // namespace tutti::core
