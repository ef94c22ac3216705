#include <algorithm>
#include <cmath>
#include <utility>

#include "common/base/check.h"
#include "scheduler/core/ledger.h"
#include "scheduler/core/place.h"
#include "scheduler/core/throughput.h"

namespace tutti::core {
namespace {

// The one way a phase changes.
void Enter(Ledger& ledger, Job& job, Phase phase, WallTime at) {
  UnindexPhase(ledger, job);
  job.phase = std::move(phase);
  job.since = at;
  IndexPhase(ledger, job);
  if (IsFinished(job)) {
    job.finished_at = at;
    job.waits_for.clear();
    ledger.finished.emplace(++ledger.last_finished, job.id);
  }
}

AttemptRecord& Newest(Job& job) {
  TUTTI_CHECK(!job.attempts.empty() && job.attempts.back().attempt == job.attempt);
  return job.attempts.back();
}

// `fact` says how an attempt ended.
template <typename Ending>
void EndAttempt(Ledger& ledger, Job& job, AttemptEnd end, const Ending& fact) {
  const std::uint64_t ran_ms = fact.ran_ms;
  AttemptRecord& record = Newest(job);
  record.ran_ms = ran_ms;
  record.steps_ms = fact.steps_ms;
  if (fact.steps_ms > 0) record.pace = PaceOf(ledger.learned).value;
  const Amount held = AmountOf(job, *ActiveGang(job));
  Usage& usage = ledger.sharing.usage[WhoOf(job)];
  usage.slot_ms += held.slots * ran_ms;
  usage.gpu_ms += held.gpus * ran_ms;
  record.end = end;
  record.ended_at = fact.at;
  record.last_step = fact.step;
  job.ran_ms += ran_ms;
}

// The newest `keep`, and the one of `best_step`: without it the best weights could not be restored.
void KeepNewest(std::vector<CheckpointRecord>& list, std::size_t keep, std::uint64_t best_step) {
  const std::size_t older = list.size() - std::min(list.size(), keep);
  const auto end = list.begin() + static_cast<std::ptrdiff_t>(older);
  list.erase(std::remove_if(list.begin(), end,
                            [&](const CheckpointRecord& each) { return each.step != best_step; }),
             end);
}

struct Applier {
  Ledger& ledger;

  Job& At(JobId id) { return ledger.jobs.at(id); }

  void operator()(const JobSubmitted& f) {
    Job job;
    job.id = f.job;
    job.sequence = ++ledger.last_sequence;
    job.request = f.request;
    job.spec_json = f.spec_json;
    job.idempotency_key = f.idempotency_key;
    job.body_digest = f.body_digest;
    job.held = f.held;
    job.submitted_at = job.since = f.at;
    ledger.by_sequence.emplace(job.sequence, f.job);
    ledger.by_name[f.request.name].insert(job.sequence);
    if (!f.idempotency_key.empty()) ledger.by_idempotency_key.Insert(f.idempotency_key, f.job);
    job.clock_ms = ledger.sharing.clock_ms;
    job.waits_for = Outstanding(ledger, f.request);
    if (!f.request.trial.sweep.empty()) ledger.trials[f.request.trial.sweep].insert(f.job);
    IndexPhase(ledger, ledger.jobs.Insert(f.job, std::move(job)));
  }
  void operator()(const JobAdmitted& f) {
    Job& job = At(f.job);
    job.estimate = f.estimate;
    Enter(ledger, job, Queued{}, f.at);
  }
  void operator()(const JobRejected& f) {
    Enter(ledger, At(f.job), Failed{f.reason, f.message, f.where}, f.at);
  }
  void operator()(const GangPlaced& f) {
    Job& job = At(f.job);
    const bool recovering = std::get<Queued>(job.phase).recovering;
    // First: the queue's indices follow from the job as it waited.
    Enter(ledger, job, Starting{{f.attempt, f.size, f.members, MemoryPerRank(job)}, recovering},
          f.at);
    job.attempt = f.attempt;
    job.attempt_progressed = false;
    if (job.numerics_fingerprint.empty()) job.numerics_fingerprint = f.numerics_fingerprint;
    AttemptRecord record;
    record.attempt = f.attempt;
    record.ranks = f.size;
    for (const GangMember& member : f.members) {
      record.nodes.push_back(member.node);
      AddModel(ledger.node_index, ledger.nodes.at(member.node), job.request.model_key);
    }
    record.bits_changed = f.bits_changed;
    record.placed_at = f.at;
    if (job.attempts.size() == kAttemptRecordsMax) job.attempts.erase(job.attempts.begin());
    job.attempts.push_back(std::move(record));
  }
  void operator()(const GangStarted& f) {
    Job& job = At(f.job);
    Newest(job).started_at = f.at;
    Newest(job).from_step = Newest(job).last_step = f.from_step;
    Enter(ledger, job, Running{*ActiveGang(job), f.from_step}, f.at);
  }
  void operator()(const StopRequested& f) {
    Job& job = At(f.job);
    Enter(ledger, job, Stopping{*ActiveGang(job), f.why}, f.at);
  }
  void operator()(const CheckpointCommitted& f) {
    Job& job = At(f.job);
    auto& list = job.checkpoints;
    if (list.empty() || f.step > list.back().step) job.attempt_progressed = true;
    // An attempt that went on from an older checkpoint writes later steps anew.
    while (!list.empty() && list.back().step >= f.step) list.pop_back();
    list.push_back({f.attempt, f.step, f.path, f.state_digest, f.size_bytes, f.at, f.files});
    const std::size_t keep = f.keep == 0 ? kCheckpointRecordsMax : f.keep;
    KeepNewest(list, std::min(keep, kCheckpointRecordsMax), f.best_step);
  }
  void operator()(const GangReleased& f) {
    Job& job = At(f.job);
    Newest(job).stop_why = f.why;
    EndAttempt(ledger, job, AttemptEnd::kReleased, f);
    Enter(ledger, job, Queued{}, f.at);
  }
  void operator()(const AttemptFailed& f) {
    Job& job = At(f.job);
    Newest(job).failure = f.reason;
    Newest(job).message = f.message;
    EndAttempt(ledger, job, AttemptEnd::kFailed, f);
    job.fruitless_attempts = job.attempt_progressed ? 0 : job.fruitless_attempts + 1;
    Enter(ledger, job, Queued{.recovering = true}, f.at);
  }
  void operator()(const JobSucceeded& f) {
    Job& job = At(f.job);
    EndAttempt(ledger, job, AttemptEnd::kSucceeded, f);
    Learn(ledger.learned, {.prior_ms = PriorMs(job, Newest(job)),
                           .launch_ms = f.launch_ms,
                           .steps_ms = f.steps_ms,
                           .ran_ms = f.ran_ms});
    job.memory_peak_bytes = f.memory_peak_bytes;
    Enter(ledger, job, Succeeded{f.model_digest, f.files, f.metrics_json}, f.at);
    const auto waiting = ledger.dependents.find(f.job);
    if (waiting == ledger.dependents.end()) return;
    for (const JobId id : std::set<JobId>(waiting->second)) {
      Job& dependent = At(id);
      UnindexPhase(ledger, dependent);
      dependent.waits_for.erase(f.job);
      IndexPhase(ledger, dependent);
    }
  }
  void operator()(const JobFailed& f) {
    Enter(ledger, At(f.job), Failed{f.reason, f.message, {}}, f.at);
  }
  void operator()(const JobCancelled& f) { Enter(ledger, At(f.job), Cancelled{f.message}, f.at); }
  void operator()(const JobPaused& f) { Enter(ledger, At(f.job), Paused{}, f.at); }
  void operator()(const JobResumed& f) {
    Job& job = At(f.job);
    job.ranks_override = f.ranks;
    job.fruitless_attempts = 0;
    Enter(ledger, job, Queued{}, f.at);
  }
  void operator()(const JobResized& f) {
    Job& job = At(f.job);
    UnindexPhase(ledger, job);
    job.ranks_override = f.ranks;
    IndexPhase(ledger, job);
  }
  void operator()(const HoldReleased& f) { At(f.job).held = false; }
  void operator()(const JobPriorityChanged& f) {
    Job& job = At(f.job);
    UnindexPhase(ledger, job);
    job.request.priority = f.priority;
    IndexPhase(ledger, job);
  }
  void operator()(const RungReached& f) { At(f.job).rungs.push_back(f.value); }
  void operator()(const OtherNumericsAllowed& f) { At(f.job).request.reproducible = false; }
  void operator()(const JobArchived& f) {
    const Job& job = At(f.job);
    if (!job.request.trial.sweep.empty()) {
      const auto sweep = ledger.trials.find(job.request.trial.sweep);
      sweep->second.erase(f.job);
      if (sweep->second.empty()) ledger.trials.erase(sweep);
    }
    ledger.by_sequence.erase(job.sequence);
    const auto named = ledger.by_name.find(job.request.name);
    named->second.erase(job.sequence);
    if (named->second.empty()) ledger.by_name.erase(named);
    if (!job.idempotency_key.empty()) ledger.by_idempotency_key.erase(job.idempotency_key);
    // The oldest ones are archived: found at once.
    const auto finished = std::find_if(ledger.finished.begin(), ledger.finished.end(),
                                       [&](const auto& entry) { return entry.second == f.job; });
    if (finished != ledger.finished.end()) ledger.finished.erase(finished);
    ledger.jobs.erase(f.job);
  }
  void operator()(const NodeRegistered& f) {
    const auto [at, fresh] = ledger.nodes.try_emplace(f.node);
    Node& node = at->second;
    if (!fresh) UnindexNode(ledger.node_index, node);
    node.id = f.node;
    node.name = f.name;
    node.state = NodeState::kUp;
    node.session = f.session;
    node.version = f.version;
    node.slots = f.slots;
    node.cores = f.cores;
    node.memory_bytes = f.memory_bytes;
    node.disk_bytes = f.disk_bytes;
    node.cpu_model = f.cpu_model;
    node.numerics_fingerprint = f.numerics_fingerprint;
    node.registered_at = f.at;
    node.labels = f.labels;
    node.gpus = f.gpus;
    node.gpu_model = f.gpu_model;
    IndexNode(ledger.node_index, node);
    ledger.node_by_name[f.name] = f.node;
  }
  template <typename Change>
  void ChangeNode(NodeId id, Change change) {
    Node& node = ledger.nodes.at(id);
    UnindexNode(ledger.node_index, node);
    change(node);
    IndexNode(ledger.node_index, node);
  }
  void operator()(const NodeLost& f) {
    ChangeNode(f.node, [](Node& node) { node.state = NodeState::kLost; });
  }
  void operator()(const NodeLeft& f) {
    ChangeNode(f.node, [](Node& node) { node.state = NodeState::kLeft; });
  }
  void operator()(const NodeDrained& f) {
    ChangeNode(f.node, [&](Node& node) { node.draining = f.draining; });
  }
  void operator()(const QueueSet& f) { ledger.sharing.queues[f.name] = f.config; }
  void operator()(const PolicySet& f) { ledger.sharing.policy = f.policy; }
  void operator()(const UsageCharged& f) {
    Sharing& sharing = ledger.sharing;
    sharing.clock_ms += f.charged_ms;
    const double kept = std::exp2(-static_cast<double>(f.passed_ms) / kUsageHalfLifeMs);
    for (auto& [who, usage] : sharing.usage) {
      usage.recent_slot_ms *= kept;
      usage.recent_gpu_ms *= kept;
    }
    for (const auto& [who, held] : ledger.held_by) {
      Usage& usage = sharing.usage[who];
      usage.recent_slot_ms += static_cast<double>(held.slots * f.charged_ms);
      usage.recent_gpu_ms += static_cast<double>(held.gpus * f.charged_ms);
    }
  }
  void operator()(const CoordinatorStarted& f) { ledger.generation = f.generation; }
};

}  // namespace

void Apply(Ledger& ledger, const Fact& fact) {
  const std::string objection = Objection(ledger, fact);
  TUTTI_CHECK(objection.empty(), "fact ", ledger.facts_applied + 1, ": ", objection);
  std::visit(Applier{ledger}, fact);
  ++ledger.facts_applied;
}

}  // namespace tutti::core
