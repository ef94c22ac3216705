#include "scheduler/core/rebuild.h"

#include <map>

namespace tutti::core {
namespace {

void IndexJob(Ledger& ledger, const Job& job) {
  ledger.by_name[job.request.name].insert(job.sequence);
  if (!job.idempotency_key.empty()) ledger.by_idempotency_key.Insert(job.idempotency_key, job.id);
  if (!job.request.trial.sweep.empty()) ledger.trials[job.request.trial.sweep].insert(job.id);
  IndexPhase(ledger, job);
}

}  // namespace

LedgerParts Dismantle(const Ledger& ledger) {
  LedgerParts parts{.jobs = {},
                    .nodes = {},
                    .generation = ledger.generation,
                    .last_sequence = ledger.last_sequence,
                    .facts_applied = ledger.facts_applied,
                    .last_finished = ledger.last_finished,
                    .sharing = ledger.sharing,
                    .learned = ledger.learned};
  std::map<JobId, std::uint64_t> finished;
  for (const auto& [order, id] : ledger.finished) finished[id] = order;
  for (const auto& [sequence, id] : ledger.by_sequence) {
    const auto order = finished.find(id);
    parts.jobs.emplace_back(ledger.jobs.at(id), order == finished.end() ? 0 : order->second);
  }
  for (const auto& [id, node] : ledger.nodes) parts.nodes.push_back(node);
  return parts;
}

Ledger Rebuild(LedgerParts parts) {
  Ledger ledger;
  ledger.generation = parts.generation;
  ledger.last_sequence = parts.last_sequence;
  ledger.facts_applied = parts.facts_applied;
  ledger.last_finished = parts.last_finished;
  ledger.sharing = std::move(parts.sharing);
  ledger.learned = parts.learned;
  for (Node& node : parts.nodes) {
    node.slots_used = 0;
    node.gpus_used = 0;
    node.memory_bytes_used = 0;
    node.gangs.clear();
    ledger.node_by_name[node.name] = node.id;
    const NodeId id = node.id;
    const auto [at, inserted] = ledger.nodes.emplace(id, std::move(node));
    if (inserted) IndexNode(ledger.node_index, at->second);
  }
  for (auto& [job, order] : parts.jobs) {
    const JobId id = job.id;
    if (order != 0) ledger.finished.emplace(order, id);
    ledger.by_sequence.emplace(job.sequence, id);
    ledger.jobs.Insert(id, std::move(job));
  }
  for (const auto& [sequence, id] : ledger.by_sequence) {
    Job& job = ledger.jobs.at(id);
    job.waits_for = IsFinished(job) ? std::set<JobId>{} : Outstanding(ledger, job.request);
    IndexJob(ledger, job);
  }
  return ledger;
}

}  // namespace tutti::core
