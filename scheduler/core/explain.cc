#include "scheduler/core/explain.h"

#include <algorithm>
#include <optional>

#include "common/base/check.h"
#include "scheduler/core/limits.h"
#include "scheduler/core/place.h"
#include "scheduler/core/sweep.h"

namespace tutti::core {
namespace {

using internal::Concat;

constexpr std::size_t kCountedMax = 1000;  // of those ahead of a job

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

// The first job in the queue that waits for others to leave: it holds back all behind it; but one
// that waits for GPUs only those that ask for some.
struct Blocker {
  const Job* job = nullptr;
  std::string needs;
};

// The queue, explained one job after another.
class Explainer {
 public:
  explicit Explainer(const State& state)
      : state_(state), plan_(state.ledger, state.liveness), held_(state.ledger) {}

  Pending Explain(const Job& job) {
    if (state_.liveness.draining) {
      return {spec::PendingReason::kPoolDown, "the cluster is shutting down"};
    }
    if (std::string refusal = held_.Refusal(job); !refusal.empty()) {
      return {spec::PendingReason::kQuota, std::move(refusal)};
    }
    const Amount allowed = held_.Allows(job);
    const Shape shape = ShapeOf(job, allowed);
    const NoFit* no = nullptr;
    std::optional<Placement> placement;
    // Counting the nodes costs; many jobs are alike.
    if (const auto known = no_fits_.find(shape); known != no_fits_.end()) {
      no = &known->second;
    } else {
      auto fit = Fit(job, plan_, allowed);
      if (auto* found = std::get_if<Placement>(&fit)) {
        placement = std::move(*found);
      } else {
        no = &no_fits_.emplace(shape, std::move(std::get<NoFit>(fit))).first->second;
      }
    }
    return placement ? Placed(job, *placement) : Refused(job, *no);
  }

 private:
  const Blocker& BlockerOf(const Job& job) const {
    return AsksForGpus(job) ? blocker_ : plain_blocker_;
  }

  // Whether one that waits for GPUs could use a machine of the placement.
  bool TakesFrom(const Job& waits, const Placement& placement) const {
    return std::ranges::any_of(placement.members, [&](const GangMember& member) {
      return state_.ledger.nodes.at(member.node).gpus >= waits.request.gpus_per_rank;
    });
  }

  static Pending Behind(const Blocker& blocker, const Amount& missing) {
    return {spec::PendingReason::kPriority,
            Concat("waits behind ", blocker.job->id, " (", blocker.job->request.name, "), which ",
                   blocker.needs),
            missing};
  }

  Pending Refused(const Job& job, const NoFit& no) {
    // Where nothing could run it the order of the queue is not what it waits for.
    const Blocker& before = BlockerOf(job);
    if (before.job != nullptr && no.blocks) return Behind(before, no.missing);
    if (no.blocks) {
      if (!AsksForGpus(job)) plain_blocker_ = {&job, no.message};
      if (blocker_.job == nullptr) blocker_ = {&job, no.message};
    }
    return {no.reason, no.message, no.missing};
  }

  Pending Placed(const Job& job, const Placement& placement) {
    if (const Blocker& before = BlockerOf(job); before.job != nullptr) return Behind(before, {});
    if (blocker_.job != nullptr && TakesFrom(*blocker_.job, placement)) {
      return Behind(blocker_, {});
    }
    plan_.Book(placement.members, job);
    no_fits_.clear();
    held_.Add(job, placement.size);
    return {spec::PendingReason::kResources, "is about to be placed"};
  }

  const State& state_;
  Plan plan_;
  Held held_;
  Blocker blocker_;
  Blocker plain_blocker_;           // of those that ask for no GPUs
  std::map<Shape, NoFit> no_fits_;  // as the plan is now
};

// "j-… (train), which is running, and 2 more".
std::string DependencyText(const Ledger& ledger, const Job& job) {
  const JobId first = *job.waits_for.begin();
  std::string text = Concat("waits for ", first);
  if (const Job* other = FindJob(ledger, first)) {
    text +=
        Concat(" (", other->request.name, "), which is ", spec::ToString(StateOf(ledger, *other)));
  }
  if (job.waits_for.size() > 1) text += Concat(", and ", job.waits_for.size() - 1, " more");
  return text;
}

// Where a trial waits for the others of its sweep.
std::string RungText(const Ledger& ledger, const Job& job) {
  const std::size_t rung = job.rungs.size() - 1;
  const Standing own = StandingAt(ledger, job, rung, job.rungs.back());
  return Concat("waits at rung ", rung + 1, " of its sweep: ", job.request.trial.metric, " ",
                job.rungs.back(), " is place ", own.better + 1, " of ", own.others + 1, " so far");
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
    if (key.job == job.id || ahead == kCountedMax) break;
    ++ahead;
  }
  if (ahead == 0) return "its model and data are looked at next";
  return Concat("its model and data are looked at after those of ",
                ahead == kCountedMax ? "more than " : "", ahead,
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
    case StopWhy::kRung:
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
  Explainer explainer(state);
  for (const Job* job : FirstInQueue(state, limit)) {
    Pending pending = explainer.Explain(*job);
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
  } else if (const auto* cancelled = std::get_if<Cancelled>(&job.phase)) {
    shown.message = cancelled->message;
  } else if (IsAtRung(job)) {
    shown.reason = ToString(StopWhy::kRung);
    shown.message = RungText(state.ledger, job);
  } else if (std::holds_alternative<Paused>(job.phase)) {
    shown.message = "resume it: tutti resume " + job.id.ToString();
  } else if (std::holds_alternative<Queued>(job.phase)) {
    if (job.held) {
      shown.reason = spec::ToString(spec::PendingReason::kHeld);
      shown.message = "submitted with --hold: release it";
    } else if (!job.waits_for.empty()) {
      shown.reason = spec::ToString(spec::PendingReason::kDependency);
      shown.message = DependencyText(state.ledger, job);
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
