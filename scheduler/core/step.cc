#include "scheduler/core/step.h"

#include <optional>

#include "common/base/check.h"
#include "scheduler/core/decision.h"
#include "scheduler/core/throughput.h"

namespace tutti::core {

Result<Outcome> Step(const State& state, const Input& input, Instant now) {
  Decision decision{state, input.at, now};
  TUTTI_RETURN_IF_ERROR(
      std::visit([&](const auto& body) { return Decide(decision, body); }, input.body));
  return std::move(decision.out);
}

namespace {

// The job that `fact` ends without success, and how to say so; nullopt: it does no such thing.
struct Ended {
  JobId job;
  std::string_view how;
};
std::optional<Ended> EndedBy(const Fact& fact) {
  if (const auto* f = std::get_if<JobFailed>(&fact)) return Ended{f->job, "failed"};
  if (const auto* f = std::get_if<JobRejected>(&fact)) return Ended{f->job, "failed"};
  if (const auto* f = std::get_if<JobCancelled>(&fact)) return Ended{f->job, "was cancelled"};
  return std::nullopt;
}

}  // namespace

void Decision::Say(Fact fact) {
  const auto ended = EndedBy(fact);
  out.facts.push_back(std::move(fact));
  if (!ended) return;
  const auto waiting = state.ledger.dependents.find(ended->job);
  if (waiting == state.ledger.dependents.end()) return;
  for (const JobId id : waiting->second) {
    if (!orphaned.insert(id).second) continue;
    if (std::holds_alternative<Validating>(state.ledger.jobs.at(id).phase))
      See(InspectAnswered{id});
    Say(JobCancelled{id, at,
                     internal::Concat("it depends on ", ended->job, ", which ", ended->how)});
  }
}

void Decision::Do(Effect effect) { out.effects.push_back(std::move(effect)); }
void Decision::See(Sighting sighting) { out.sightings.push_back(std::move(sighting)); }

Status Decide(Decision& decision, const CoordinatorStart&) {
  decision.Say(CoordinatorStarted{decision.state.ledger.generation + 1, decision.at});
  decision.See(CoordinatorUp{});
  return {};
}

Result<const Job*> NeedJob(const Ledger& ledger, JobId id) {
  if (const Job* job = FindJob(ledger, id)) return job;
  return Fail(ErrorCode::kNotFound, "there is no job " + id.ToString());
}

GangNoticed Notice(const Learned& learned, const Job& job, Attempt attempt, std::uint32_t ranks) {
  GangNoticed notice{job.id, attempt};
  if (const auto predicted = PredictRun(job, learned, ranks)) notice.run = predicted->value;
  return notice;
}

const GangTrack* TrackOf(const Liveness& liveness, const Job& job) {
  const auto found = liveness.gangs.find({job.id, job.attempt});
  return found == liveness.gangs.end() ? nullptr : &found->second;
}

bool IsMember(const Gang& gang, NodeId node) {
  for (const GangMember& member : gang.members) {
    if (member.node == node) return true;
  }
  return false;
}

void SendStop(Decision& decision, const Job& job, StopMode mode, std::string why) {
  for (const GangMember& member : ActiveGang(job)->members) {
    decision.Do(StopGang{member.node, job.id, job.attempt, mode, why});
  }
}

}  // namespace tutti::core
