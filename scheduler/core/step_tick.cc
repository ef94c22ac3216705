// What time brings: lost nodes, launches and stops to repeat, durations, inspections, placements,
// old jobs to archive.
#include <algorithm>
#include <iterator>

#include "common/base/check.h"
#include "scheduler/core/decision.h"
#include "scheduler/core/throughput.h"
#include "scheduler/core/timing.h"

namespace tutti::core {
namespace {

using internal::Concat;

constexpr std::size_t kArchivedMax = 100;  // a Tick

Duration BackOff(Duration first, std::uint32_t sent) {
  const std::uint32_t doublings = std::min<std::uint32_t>(sent == 0 ? 0 : sent - 1, 10);
  return std::min(first * (1 << doublings), kRepeatMax);
}

// When the node was heard last; a restart of the coordinator counts as hearing of everybody.
Instant LastSeen(const Liveness& liveness, NodeId node) {
  const auto seen = liveness.nodes.find(node);
  return seen == liveness.nodes.end() ? liveness.started : seen->second.last_seen;
}

// Attempts that this Tick ended: their jobs are left alone by the later parts.
using EndedJobs = std::set<JobId>;

void LoseNodes(Decision& decision, EndedJobs& ended) {
  for (const auto& [id, node] : decision.state.ledger.nodes) {
    if (node.state != NodeState::kUp) continue;
    if (decision.now - LastSeen(decision.state.liveness, id) <= kReassignAfter) continue;
    for (JobId gang : node.gangs) {
      if (!ended.insert(gang).second) continue;
      const Job& job = decision.state.ledger.jobs.at(gang);
      for (const GangMember& member : ActiveGang(job)->members) {
        if (member.node == id) continue;
        decision.Do(StopGang{member.node, gang, job.attempt, StopMode::kKill, "peers lost"});
      }
      EndAttempt(decision, job,
                 Ending{.message = Concat("worker ", node.name, " was not heard of for ",
                                          FormatDuration(kReassignAfter))});
    }
    decision.Say(NodeLost{id, decision.at});
    decision.See(NodeGone{id});
  }
}

bool ListedNow(const Decision& decision, const Job& job, NodeId node) {
  const auto seen = decision.state.liveness.nodes.find(node);
  return seen != decision.state.liveness.nodes.end() &&
         Lists(seen->second.gangs, {job.id, job.attempt});
}

// A heartbeat later than `since` arrived from the node.
bool HeardSince(const Decision& decision, NodeId node, Instant since) {
  const auto seen = decision.state.liveness.nodes.find(node);
  return seen != decision.state.liveness.nodes.end() && seen->second.last_seen > since;
}

void RepeatLaunch(Decision& decision, const Job& job, const GangTrack& track) {
  if (track.launches_sent > 0 &&
      decision.now - track.launch_sent < BackOff(kRepeatFirst, track.launches_sent)) {
    return;
  }
  // The last one has time to be confirmed before the launch is given up.
  if (decision.now - track.first_noticed > kLaunchGiveUp - kMissingAfter) return;
  for (const GangMember& member : ActiveGang(job)->members) {
    if (track.listed.contains(member.node) || ListedNow(decision, job, member.node)) continue;
    if (!HeardSince(decision, member.node, track.launch_sent)) continue;
    if (!MayLaunchOn(decision, member.node)) continue;
    decision.Do(LaunchGang{member.node, job.id, job.attempt});
  }
}

void RepeatStop(Decision& decision, const Job& job, const GangTrack& track) {
  const StopWhy why = std::get<Stopping>(job.phase).why;
  const bool kill = why == StopWhy::kCancel;
  const bool first = track.stops_sent == 0 || (kill && !track.kill_sent);
  if (!first && decision.now - track.stop_sent < BackOff(kRepeatFirst, track.stops_sent)) return;
  SendStop(decision, job, kill ? StopMode::kKill : StopMode::kCheckpoint,
           std::string(ToString(why)));
}

// Whether a node of the gang has not listed it for too long although it is heard. A launch may have
// been taken until the node's lease is over, whatever became of the job meanwhile.
bool Missing(const Decision& decision, const Job& job, const GangTrack& track) {
  for (const GangMember& member : ActiveGang(job)->members) {
    if (ListedNow(decision, job, member.node)) continue;
    const auto listed = track.listed.find(member.node);
    const bool once = listed != track.listed.end();
    const Instant since = std::max(once ? listed->second : track.launch_sent, track.first_noticed);
    const bool launching = std::holds_alternative<Starting>(job.phase) && !once;
    if (launching && decision.now - track.first_noticed <= kLaunchGiveUp) continue;
    if (decision.now - since > kMissingAfter && HeardSince(decision, member.node, since)) {
      return true;
    }
  }
  return false;
}

// Gangs that the ledger holds and nobody has seen yet: after a restart.
void NoticeGangs(Decision& decision) {
  const Ledger& ledger = decision.state.ledger;
  if (ledger.active.size() == decision.state.liveness.gangs.size()) return;
  for (const JobId id : ledger.active) {
    const Job& job = ledger.jobs.at(id);
    if (TrackOf(decision.state.liveness, job) != nullptr) continue;
    decision.See(Notice(LearnedNow(decision.state), job, job.attempt, ActiveGang(job)->size));
  }
}

bool ListedByAll(const Decision& decision, const Job& job) {
  const auto& members = ActiveGang(job)->members;
  return std::all_of(members.begin(), members.end(), [&](const GangMember& member) {
    return ListedNow(decision, job, member.node);
  });
}

void WatchGangs(Decision& decision, EndedJobs& ended) {
  NoticeGangs(decision);
  for (const GangKey& key : decision.state.liveness.watched) {
    const JobId id = key.job;
    if (ended.contains(id) || !decision.state.ledger.active.contains(id)) continue;
    const Job& job = decision.state.ledger.jobs.at(id);
    const GangTrack* track = TrackOf(decision.state.liveness, job);
    if (track == nullptr || job.attempt != key.attempt) continue;
    if (Missing(decision, job, *track)) {
      SendStop(decision, job, StopMode::kKill, "missing");
      EndAttempt(decision, job, Ending{.message = "the worker no longer runs the gang"});
      ended.insert(id);
      continue;
    }
    if (std::holds_alternative<Stopping>(job.phase)) {
      RepeatStop(decision, job, *track);
      continue;
    }
    if (std::holds_alternative<Starting>(job.phase)) RepeatLaunch(decision, job, *track);
    const std::uint64_t max_ms = job.request.max_duration_ms;
    if (max_ms == 0) {
      const bool runs = std::holds_alternative<Running>(job.phase);
      if (runs && ListedByAll(decision, job)) decision.See(GangSettled{id, job.attempt});
      continue;
    }
    const auto ran =
        std::chrono::duration_cast<std::chrono::milliseconds>(decision.now - track->first_noticed);
    if (job.ran_ms + static_cast<std::uint64_t>(std::max<std::int64_t>(0, ran.count())) <= max_ms) {
      continue;
    }
    decision.Say(StopRequested{id, job.attempt, StopWhy::kTimeout, decision.at});
    SendStop(decision, job, StopMode::kCheckpoint, "timeout");
  }
}

// One inspection a node at a time, in the order of the queue.
void Inspect(Decision& decision) {
  const Ledger& ledger = decision.state.ledger;
  const Liveness& liveness = decision.state.liveness;
  if (ledger.validating.empty()) return;
  std::set<NodeId> free;
  for (const auto& [id, node] : ledger.nodes) {
    const auto seen = liveness.nodes.find(id);
    if (IsOpen(node) && seen != liveness.nodes.end() && seen->second.session == node.session) {
      free.insert(id);
    }
  }
  const auto waits_for_answer = [&](const InspectTrack& track) {
    const auto seen = liveness.nodes.find(track.node);
    return track.in_flight && seen != liveness.nodes.end() &&
           seen->second.session == track.session && decision.now - track.sent < kInspectGiveUp;
  };
  for (const auto& [job, track] : liveness.inspections) {
    if (waits_for_answer(track)) free.erase(track.node);
  }
  for (const QueueKey& key : ledger.validating) {
    if (free.empty()) return;
    const auto track = liveness.inspections.find(key.job);
    if (track != liveness.inspections.end()) {
      if (waits_for_answer(track->second)) continue;
      if (track->second.failures > 0 && !track->second.in_flight &&
          decision.now - track->second.sent < BackOff(kInspectRetryFirst, track->second.failures)) {
        continue;
      }
    }
    // Another node than the one that failed, where there is one.
    auto node = free.begin();
    if (track != liveness.inspections.end() && *node == track->second.node && free.size() > 1) {
      ++node;
    }
    decision.Do(InspectJob{*node, key.job});
    free.erase(node);
  }
}

void Archive(Decision& decision) {
  const auto& finished = decision.state.ledger.finished;
  if (finished.size() <= kFinishedJobsMax) return;
  const std::size_t count = std::min(finished.size() - kFinishedJobsMax, kArchivedMax);
  const auto end = std::next(finished.begin(), static_cast<std::ptrdiff_t>(count));
  for (auto it = finished.begin(); it != end; ++it) {
    decision.Say(JobArchived{it->second, decision.at});
  }
}

}  // namespace

bool MayLaunchOn(const Decision& decision, NodeId node) {
  return decision.now - LastSeen(decision.state.liveness, node) <= kLaunchHeardWithin;
}

Status Decide(Decision& decision, const Tick&) {
  EndedJobs ended;
  LoseNodes(decision, ended);
  WatchGangs(decision, ended);
  Inspect(decision);
  TendSweeps(decision);
  // A lost node is still up in the ledger this plan reads: place in the next Tick then.
  if (decision.out.facts.empty()) Place(decision);
  ChargeUsage(decision);
  Archive(decision);
  return {};
}

}  // namespace tutti::core
