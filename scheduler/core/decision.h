// The working set of one Step: where the parts of step_*.cc collect what they decide. Internal to
// scheduler/core; lives for one call. No threads.
#pragma once

#include <chrono>
#include <set>
#include <string>
#include <utility>

#include "common/base/result.h"
#include "scheduler/core/step.h"

namespace tutti::core {

struct Decision {
  const State& state;
  WallTime at;
  Instant now;
  Outcome out{};
  std::set<JobId> orphaned{};  // cancelled because of others

  // With a job that fails or is cancelled go those that wait for it.
  void Say(Fact fact);
  void Do(Effect effect);
  void See(Sighting sighting);
};

// How an attempt came to its end, whoever says so.
struct Ending {
  GangOutcome outcome = GangOutcome::kFailed;
  spec::FailureReason reason = spec::FailureReason::kWorkerLost;
  std::string message{};
  std::uint64_t step = 0;
  std::uint64_t memory_peak_bytes = 0;
  std::string model_digest{};
  std::vector<ModelFile> files{};
  std::string metrics_json{};
};

// Ends the active attempt of `job` and decides what becomes of the job.
void EndAttempt(Decision& decision, const Job& job, const Ending& ending);
// StopGang to every member of the active gang.
void SendStop(Decision& decision, const Job& job, StopMode mode, std::string why);
// StopRequested for the active gang, and the stop itself.
void RequestStop(Decision& decision, const Job& job, StopWhy why);
// That an attempt of `job` on so many ranks is there, and how long it will probably run.
GangNoticed Notice(const Learned& learned, const Job& job, Attempt attempt, std::uint32_t ranks);
// The track of the job's active gang, or nullptr.
const GangTrack* TrackOf(const Liveness& liveness, const Job& job);
bool IsMember(const Gang& gang, NodeId node);
// Whether the node was heard of so lately that a launch sent now arrives before it can be lost.
bool MayLaunchOn(const Decision& decision, NodeId node);
// A known job, or kNotFound.
Result<const Job*> NeedJob(const Ledger& ledger, JobId id);

// What the sweeps whose trials wait at a rung decide: who goes on, who is out.
void TendSweeps(Decision& decision);
// Gives out what slots are free, in the order of the policy.
void Place(Decision& decision);
// Counts what gangs used since it was counted last, once a minute.
void ChargeUsage(Decision& decision);

Status Decide(Decision& decision, const Submit& input);
Status Decide(Decision& decision, const SubmitSweep& input);
Status Decide(Decision& decision, const Cancel& input);
Status Decide(Decision& decision, const Pause& input);
Status Decide(Decision& decision, const Resume& input);
Status Decide(Decision& decision, const Resize& input);
Status Decide(Decision& decision, const CheckpointNow& input);
Status Decide(Decision& decision, const ReleaseHold& input);
Status Decide(Decision& decision, const SetPriority& input);
Status Decide(Decision& decision, const AllowOtherNumerics& input);
Status Decide(Decision& decision, const DrainAll& input);
Status Decide(Decision& decision, const DrainNode& input);
Status Decide(Decision& decision, const SetQueue& input);
Status Decide(Decision& decision, const SetPolicy& input);
Status Decide(Decision& decision, const RegisterNode& input);
Status Decide(Decision& decision, const Heartbeat& input);
Status Decide(Decision& decision, const Goodbye& input);
Status Decide(Decision& decision, const ReportStarted& input);
Status Decide(Decision& decision, const ReportCheckpoint& input);
Status Decide(Decision& decision, const ReportEval& input);
Status Decide(Decision& decision, const ReportEnded& input);
Status Decide(Decision& decision, const InspectFinished& input);
Status Decide(Decision& decision, const CoordinatorStart& input);
Status Decide(Decision& decision, const Tick& input);

}  // namespace tutti::core
