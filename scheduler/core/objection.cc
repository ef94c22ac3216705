// What a fact presupposes. Apply checks it always: a journal that does not follow from itself is
// damaged, and a Step that decides so is wrong.
#include <algorithm>
#include <cmath>
#include <limits>

#include "common/base/check.h"
#include "scheduler/core/ledger.h"

namespace tutti::core {
namespace {

std::string NoJob(JobId job) { return internal::Concat("there is no job ", job); }

// Calls `check(job)` when the job exists.
template <typename Check>
std::string WithJob(const Ledger& ledger, JobId id, Check check) {
  const Job* job = FindJob(ledger, id);
  return job == nullptr ? NoJob(id) : check(*job);
}

template <typename... Phases>
std::string PhaseIs(const Ledger& ledger, JobId id, const char* names) {
  return WithJob(ledger, id, [&](const Job& job) {
    if ((std::holds_alternative<Phases>(job.phase) || ...)) return std::string();
    return internal::Concat("job ", id, " is not ", names);
  });
}

std::string Unfinished(const Ledger& ledger, JobId id) {
  return WithJob(ledger, id, [&](const Job& job) {
    return IsFinished(job) ? internal::Concat("job ", id, " has finished") : std::string();
  });
}

std::string AttemptIs(const Ledger& ledger, JobId id, Attempt attempt) {
  return WithJob(ledger, id, [&](const Job& job) {
    if (ActiveGang(job) == nullptr) return internal::Concat("job ", id, " has no gang");
    if (job.attempt != attempt) {
      return internal::Concat("job ", id, " is at attempt ", Number(job.attempt), ", not ",
                              Number(attempt));
    }
    return std::string();
  });
}

struct Judge {
  const Ledger& ledger;

  std::string operator()(const JobSubmitted& f) const {
    if (FindJob(ledger, f.job) != nullptr) return internal::Concat("job ", f.job, " exists");
    if (!f.idempotency_key.empty() && ledger.by_idempotency_key.contains(f.idempotency_key)) {
      return "the idempotency key is taken";
    }
    return "";
  }
  std::string operator()(const JobAdmitted& f) const {
    return PhaseIs<Validating>(ledger, f.job, "validating");
  }
  std::string operator()(const JobRejected& f) const {
    return PhaseIs<Validating>(ledger, f.job, "validating");
  }
  std::string operator()(const GangPlaced& f) const {
    const std::string objection = PhaseIs<Queued>(ledger, f.job, "queued");
    if (!objection.empty()) return objection;
    const Job& job = *FindJob(ledger, f.job);
    if (job.held) return internal::Concat("job ", f.job, " is held");
    if (!job.waits_for.empty()) return internal::Concat("job ", f.job, " waits for others");
    if (f.attempt != Next(job.attempt)) return "attempts do not grow by one";
    std::uint64_t ranks = 0;
    std::map<NodeId, Amount> takes;
    for (const GangMember& member : f.members) {
      if (member.ranks == 0 || member.first_rank != ranks) return "members are not in rank order";
      ranks += member.ranks;
      takes[member.node] += AmountOf(job.request, member.ranks);
    }
    if (ranks == 0 || ranks != f.size) return "members do not sum up to the gang's size";
    for (const auto& [id, wanted] : takes) {
      const Node* node = FindNode(ledger, id);
      if (node == nullptr || node->state != NodeState::kUp) {
        return internal::Concat("node ", id, " is not up");
      }
      if (node->draining) return internal::Concat("node ", id, " is draining");
      if (node->slots_used + wanted.slots > node->slots) {
        return internal::Concat("node ", id, " has no ", wanted.slots, " free slots");
      }
      if (node->gpus_used + wanted.gpus > node->gpus) {
        return internal::Concat("node ", id, " has no ", wanted.gpus, " free GPUs");
      }
    }
    return "";
  }
  std::string operator()(const GangStarted& f) const {
    const std::string objection = AttemptIs(ledger, f.job, f.attempt);
    if (!objection.empty()) return objection;
    return PhaseIs<Starting>(ledger, f.job, "starting");
  }
  std::string operator()(const StopRequested& f) const {
    return AttemptIs(ledger, f.job, f.attempt);
  }
  std::string operator()(const CheckpointCommitted& f) const {
    return AttemptIs(ledger, f.job, f.attempt);
  }
  std::string operator()(const GangReleased& f) const {
    return AttemptIs(ledger, f.job, f.attempt);
  }
  std::string operator()(const AttemptFailed& f) const {
    return AttemptIs(ledger, f.job, f.attempt);
  }
  std::string operator()(const JobSucceeded& f) const {
    return AttemptIs(ledger, f.job, f.attempt);
  }
  std::string operator()(const JobFailed& f) const {
    return PhaseIs<Queued>(ledger, f.job, "queued");
  }
  std::string operator()(const JobCancelled& f) const {
    return PhaseIs<Validating, Queued, Paused>(ledger, f.job, "validating, queued or paused");
  }
  std::string operator()(const JobPaused& f) const {
    return PhaseIs<Queued>(ledger, f.job, "queued");
  }
  std::string operator()(const JobResumed& f) const {
    return PhaseIs<Paused>(ledger, f.job, "paused");
  }
  std::string operator()(const JobResized& f) const {
    return WithJob(ledger, f.job, [&](const Job& job) {
      return IsFinished(job) ? internal::Concat("job ", f.job, " has finished") : std::string();
    });
  }
  std::string operator()(const HoldReleased& f) const {
    return WithJob(ledger, f.job, [&](const Job& job) {
      return job.held ? std::string() : internal::Concat("job ", f.job, " is not held");
    });
  }
  std::string operator()(const JobPriorityChanged& f) const { return Unfinished(ledger, f.job); }
  std::string operator()(const OtherNumericsAllowed& f) const { return Unfinished(ledger, f.job); }
  std::string operator()(const RungReached& f) const {
    const std::string objection = AttemptIs(ledger, f.job, f.attempt);
    if (!objection.empty()) return objection;
    const Job& job = *FindJob(ledger, f.job);
    if (job.request.trial.sweep.empty()) return internal::Concat("job ", f.job, " is no trial");
    if (!std::isfinite(f.value)) return "a rung's value is not finite";
    return f.rung == job.rungs.size() ? "" : "rungs do not grow by one";
  }
  std::string operator()(const JobArchived& f) const {
    return PhaseIs<Succeeded, Failed, Cancelled>(ledger, f.job, "finished");
  }
  std::string operator()(const NodeRegistered& f) const {
    const auto named = ledger.node_by_name.find(f.name);
    if (named != ledger.node_by_name.end() && named->second != f.node) {
      return internal::Concat("node name ", f.name, " is another node's");
    }
    const Node* node = FindNode(ledger, f.node);
    if (node != nullptr && node->name != f.name) {
      return internal::Concat("node ", f.node, " has another name");
    }
    if (node != nullptr && node->slots_used > f.slots) {
      return internal::Concat("gangs on node ", f.node, " hold more than ", f.slots, " slots");
    }
    if (node != nullptr && node->gpus_used > f.gpus) {
      return internal::Concat("gangs on node ", f.node, " hold more than ", f.gpus, " GPUs");
    }
    return "";
  }
  std::string GoneNode(NodeId id) const {
    const Node* node = FindNode(ledger, id);
    if (node == nullptr) return internal::Concat("there is no node ", id);
    if (node->state != NodeState::kUp) return internal::Concat("node ", id, " is not up");
    if (!node->gangs.empty()) return internal::Concat("node ", id, " still has gangs");
    return "";
  }
  std::string operator()(const NodeLost& f) const { return GoneNode(f.node); }
  std::string operator()(const NodeLeft& f) const { return GoneNode(f.node); }
  std::string operator()(const NodeDrained& f) const {
    const Node* node = FindNode(ledger, f.node);
    if (node == nullptr) return internal::Concat("there is no node ", f.node);
    return node->draining == f.draining ? "the node is so already" : "";
  }
  std::string operator()(const QueueSet& f) const {
    if (f.name.empty()) return "a queue without a name";
    if (!(f.config.weight > 0 && f.config.weight <= kWeightMax))
      return "the weight is out of range";
    if (f.config.parent.empty()) return "";
    const std::vector<std::string> chain = ChainOf(ledger.sharing, f.config.parent);
    return std::find(chain.begin(), chain.end(), f.name) == chain.end()
               ? ""
               : "a queue is a part of itself";
  }
  std::string operator()(const PolicySet&) const { return ""; }
  std::string operator()(const UsageCharged& f) const {
    return f.charged_ms <= f.passed_ms ? "" : "more is charged than passed";
  }
  std::string operator()(const CoordinatorStarted& f) const {
    return f.generation > ledger.generation ? "" : "the generation does not grow";
  }
};

}  // namespace

std::string Objection(const Ledger& ledger, const Fact& fact) {
  return std::visit(Judge{ledger}, fact);
}

}  // namespace tutti::core
