// The indices that follow from a job's phase. What they are made of may change only between
// UnindexPhase and IndexPhase.
#include "common/base/check.h"
#include "scheduler/core/ledger.h"
#include "scheduler/core/throughput.h"

namespace tutti::core {
namespace {

constexpr std::uint64_t kUnknownWorkMs = 24ULL * 3600 * 1000;
// Of the time a job waits, so much counts as work done: a stream of short jobs passes a long one
// only for so long.
constexpr std::uint64_t kWaitPerWork = 4;

QueueKey KeyOf(const Job& job) {
  return {job.request.priority * kAgePerPriorityMs - static_cast<std::int64_t>(job.clock_ms),
          job.sequence, job.id};
}

WorkKey WorkKeyOf(const Job& job) {
  return {PriorWorkLeftMs(job).value_or(kUnknownWorkMs) + job.clock_ms / kWaitPerWork, job.sequence,
          job.id};
}

// Takes (or gives back) what a gang uses of its nodes.
void Book(Ledger& ledger, const Job& job, const Gang& gang, bool take) {
  for (const GangMember& member : gang.members) {
    const auto found = ledger.nodes.find(member.node);
    if (found == ledger.nodes.end()) continue;  // of a damaged snapshot
    Node& node = found->second;
    const Room free_before = FreeOf(node);
    const std::uint32_t slots = member.ranks * job.request.cpus_per_rank;
    const std::uint32_t gpus = member.ranks * job.request.gpus_per_rank;
    const std::uint64_t memory = member.ranks * gang.memory_bytes_per_rank;
    if (take) {
      node.slots_used += slots;
      node.gpus_used += gpus;
      node.memory_bytes_used += memory;
      node.gangs.insert(job.id);
    } else {
      TUTTI_CHECK(
          node.slots_used >= slots && node.gpus_used >= gpus && node.memory_bytes_used >= memory,
          "slots of node ", node.id);
      node.slots_used -= slots;
      node.gpus_used -= gpus;
      node.memory_bytes_used -= memory;
      node.gangs.erase(job.id);
    }
    ReindexFree(ledger.node_index, node, free_before);
  }
}

template <typename Key>
void EraseFrom(std::map<QueueUser, std::set<Key>>& lines, const Job& job, const Key& key) {
  const auto line = lines.find(WhoOf(job));
  TUTTI_CHECK(line != lines.end() && line->second.erase(key) == 1, "job ", job.id);
  if (line->second.empty()) lines.erase(line);
}

template <typename Key>
void EraseFrom(std::map<Key, std::set<JobId>>& lists, const Key& key, JobId id) {
  const auto list = lists.find(key);
  list->second.erase(id);
  if (list->second.empty()) lists.erase(list);
}

}  // namespace

bool IsAtRung(const Job& job) {
  return std::holds_alternative<Paused>(job.phase) && !job.attempts.empty() &&
         job.attempts.back().stop_why == StopWhy::kRung;
}

Amount AmountOf(const JobRequest& request, std::uint32_t ranks) {
  return {.slots = std::uint64_t{ranks} * request.cpus_per_rank,
          .gpus = std::uint64_t{ranks} * request.gpus_per_rank};
}

void IndexPhase(Ledger& ledger, const Job& job) {
  if (std::holds_alternative<Validating>(job.phase)) ledger.validating.insert(KeyOf(job));
  if (std::holds_alternative<Queued>(job.phase)) {
    ledger.queued.insert(KeyOf(job));
    ledger.queued_by[WhoOf(job)].insert(KeyOf(job));
    ledger.work_by[WhoOf(job)].insert(WorkKeyOf(job));
    if (AsksForGpus(job)) ++ledger.queued_for_gpus;
  }
  if (IsAtRung(job)) ledger.at_rung[job.request.trial.sweep].insert(job.id);
  if (!IsFinished(job)) {
    for (const JobId id : job.waits_for) ledger.dependents[id].insert(job.id);
  }
  if (const Gang* gang = ActiveGang(job)) {
    ledger.active.insert(job.id);
    ledger.held_by[WhoOf(job)] += AmountOf(job, *gang);
    Book(ledger, job, *gang, true);
  }
}

void UnindexPhase(Ledger& ledger, const Job& job) {
  if (std::holds_alternative<Validating>(job.phase)) ledger.validating.erase(KeyOf(job));
  if (std::holds_alternative<Queued>(job.phase)) {
    ledger.queued.erase(KeyOf(job));
    EraseFrom(ledger.queued_by, job, KeyOf(job));
    EraseFrom(ledger.work_by, job, WorkKeyOf(job));
    if (AsksForGpus(job)) --ledger.queued_for_gpus;
  }
  if (IsAtRung(job)) EraseFrom(ledger.at_rung, job.request.trial.sweep, job.id);
  if (!IsFinished(job)) {
    for (const JobId id : job.waits_for) EraseFrom(ledger.dependents, id, job.id);
  }
  if (const Gang* gang = ActiveGang(job)) {
    ledger.active.erase(job.id);
    const auto held = ledger.held_by.find(WhoOf(job));
    held->second -= AmountOf(job, *gang);
    if (held->second.slots == 0) ledger.held_by.erase(held);
    Book(ledger, job, *gang, false);
  }
}

}  // namespace tutti::core
