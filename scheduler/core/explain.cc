#include "scheduler/core/explain.h"

#include <algorithm>

#include "common/base/check.h"
#include "scheduler/core/limits.h"
#include "scheduler/core/place.h"

namespace tutti::core {
namespace {

using internal::Concat;

bool AnyNodeOpen(const Ledger& ledger) {
  return std::any_of(ledger.nodes.begin(), ledger.nodes.end(),
                     [](const auto& entry) { return IsOpen(entry.second); });
}

// Which of the gang's workers an administrator empties; "" when the whole cluster stops.
std::string DrainText(const Ledger& ledger, const Gang& gang) {
  std::string names;
  for (const GangMember& member : gang.members) {
    const Node* node = FindNode(ledger, member.node);
    if (node == nullptr || !node->draining) continue;
    names += (names.empty() ? "" : ", ") + node->name;
  }
  if (names.empty()) return "";
  return Concat(names, names.find(',') == std::string::npos ? " is" : " are",
                " draining: it goes on elsewhere, from a checkpoint");
}

// The first job in the queue that waits for others to leave: it holds back all behind it.
struct Blocker {
  const Job* job = nullptr;
  std::string needs;
};

Pending ExplainOne(const State& state, const Job& job, Plan& plan, Held& held, Blocker& blocker) {
  if (state.liveness.draining) {
    return {spec::PendingReason::kPoolDown, "the cluster is shutting down"};
  }
  if (std::string refusal = held.Refusal(job); !refusal.empty()) {
    return {spec::PendingReason::kQuota, std::move(refusal)};
  }
  auto fit = Fit(job, plan, held.Allows(job));
  auto* no = std::get_if<NoFit>(&fit);
  const std::uint64_t missing = no == nullptr ? 0 : no->missing_slots;
  // Where nothing could run it the order of the queue is not what it waits for.
  if (blocker.job != nullptr && (no == nullptr || no->blocks)) {
    return {spec::PendingReason::kPriority,
            Concat("waits behind ", blocker.job->id, " (", blocker.job->request.name, "), which ",
                   blocker.needs),
            missing};
  }
  if (no != nullptr) {
    if (no->blocks) blocker = {&job, no->message};
    return {no->reason, std::move(no->message), missing};
  }
  const auto& placement = std::get<Placement>(fit);
  plan.Book(placement.members, job);
  held.Add(job, std::uint64_t{placement.size} * job.request.cpus_per_rank);
  return {spec::PendingReason::kResources, "is about to be placed"};
}

// Who looks at its data, or that it waits for that.
std::string InspectionText(const State& state, const Job& job) {
  const auto track = state.liveness.inspections.find(job.id);
  if (track != state.liveness.inspections.end() && track->second.in_flight) {
    const Node* node = FindNode(state.ledger, track->second.node);
    return Concat("its model and data are looked at on ",
                  node == nullptr ? "a worker" : "worker " + node->name);
  }
  std::size_t ahead = 0;
  for (const QueueKey& key : state.ledger.validating) {
    if (key.job == job.id) break;
    ++ahead;
  }
  return ahead == 0 ? "its model and data are looked at next"
                    : Concat("its model and data are looked at after those of ", ahead,
                             ahead == 1 ? " other job" : " other jobs");
}

// Where a gang starts that has been placed.
std::string StartingText(const State& state, const Gang& gang) {
  std::string names;
  for (const GangMember& member : gang.members) {
    const Node* node = FindNode(state.ledger, member.node);
    names += (names.empty() ? "" : ", ") + (node == nullptr ? member.node.ToString() : node->name);
  }
  return Concat(gang.size, gang.size == 1 ? " rank starts on " : " ranks start on ", names);
}

spec::JobState StateWhileStopping(StopWhy why) {
  switch (why) {
    case StopWhy::kCancel:
    case StopWhy::kTimeout:
      return spec::JobState::kCancelling;
    case StopWhy::kResize:
      return spec::JobState::kResizing;
    case StopWhy::kPause:
    case StopWhy::kPreempt:
    case StopWhy::kDrain:
      return spec::JobState::kPreempting;
  }
  return spec::JobState::kPreempting;
}

struct StateNamer {
  const Ledger& ledger;

  // Nothing validates it while no worker takes it: it waits like any queued job.
  spec::JobState operator()(const Validating&) const {
    return AnyNodeOpen(ledger) ? spec::JobState::kValidating : spec::JobState::kQueued;
  }
  spec::JobState operator()(const Queued& p) const {
    return p.recovering ? spec::JobState::kRecovering : spec::JobState::kQueued;
  }
  spec::JobState operator()(const Starting& p) const {
    return p.recovering ? spec::JobState::kRecovering : spec::JobState::kStarting;
  }
  spec::JobState operator()(const Running&) const { return spec::JobState::kRunning; }
  spec::JobState operator()(const Stopping& p) const { return StateWhileStopping(p.why); }
  spec::JobState operator()(const Paused&) const { return spec::JobState::kPaused; }
  spec::JobState operator()(const Succeeded&) const { return spec::JobState::kSucceeded; }
  spec::JobState operator()(const Failed&) const { return spec::JobState::kFailed; }
  spec::JobState operator()(const Cancelled&) const { return spec::JobState::kCancelled; }
};

}  // namespace

std::map<JobId, Pending> ExplainQueue(const State& state, std::size_t limit) {
  std::map<JobId, Pending> all;
  Plan plan(state.ledger, state.liveness);
  Held held(state.ledger);
  Blocker blocker;
  const Policy& policy = PolicyOf(state.ledger, state.policy);
  for (const Job* job : FirstInOrder(state.ledger, policy, limit)) {
    Pending pending = ExplainOne(state, *job, plan, held, blocker);
    pending.jobs_ahead = all.size();
    all.emplace(job->id, std::move(pending));
  }
  return all;
}

spec::JobState StateOf(const Ledger& ledger, const Job& job) {
  return std::visit(StateNamer{ledger}, job.phase);
}

Shown Show(const State& state, const Job& job, const Pending* pending) {
  Shown shown;
  shown.state = StateOf(state.ledger, job);
  if (const auto* failed = std::get_if<Failed>(&job.phase)) {
    shown.reason = spec::ToString(failed->reason);
    shown.message = failed->message;
    if (!failed->where.empty()) shown.message = failed->where + ": " + shown.message;
  } else if (const auto* stopping = std::get_if<Stopping>(&job.phase)) {
    shown.reason = ToString(stopping->why);
    if (stopping->why == StopWhy::kDrain) shown.message = DrainText(state.ledger, stopping->gang);
  } else if (std::holds_alternative<Validating>(job.phase)) {
    if (shown.state == spec::JobState::kQueued) {
      shown.reason = spec::ToString(spec::PendingReason::kPoolDown);
      shown.message = NoNodeText(state.ledger);
    } else {
      shown.message = InspectionText(state, job);
    }
  } else if (const auto* starting = std::get_if<Starting>(&job.phase)) {
    // Why it starts again is told below.
    if (!starting->recovering) shown.message = StartingText(state, starting->gang);
  } else if (std::holds_alternative<Paused>(job.phase)) {
    shown.message = "resume it: tutti resume " + job.id.ToString();
  } else if (std::holds_alternative<Queued>(job.phase)) {
    if (job.held) {
      shown.reason = spec::ToString(spec::PendingReason::kHeld);
      shown.message = "submitted with --hold: release it";
    } else if (pending != nullptr) {
      shown.reason = spec::ToString(pending->reason);
      shown.message = pending->message;
    } else {
      shown.reason = spec::ToString(spec::PendingReason::kPriority);
      shown.message = "waits behind many jobs";
    }
  }
  if (shown.state == spec::JobState::kRecovering && !job.attempts.empty()) {
    // The attempt that failed is the newest that has ended.
    for (auto it = job.attempts.rbegin(); it != job.attempts.rend(); ++it) {
      if (it->end != AttemptEnd::kFailed) continue;
      if (shown.reason.empty()) shown.reason = spec::ToString(*it->failure);
      if (shown.message.empty()) shown.message = it->message;
      break;
    }
  }
  return shown;
}

}  // namespace tutti::core
