#include "scheduler/core/invariants.h"

#include <bit>

#include "common/base/check.h"
#include "scheduler/core/rebuild.h"

namespace tutti::core {
namespace {

using internal::Concat;

std::string CheckGang(const Ledger& ledger, const Job& job, const Gang& gang) {
  std::uint64_t ranks = 0;
  for (const GangMember& member : gang.members) {
    if (member.first_rank != ranks || member.ranks == 0) return "its ranks are not contiguous";
    ranks += member.ranks;
    const Node* node = FindNode(ledger, member.node);
    if (node == nullptr || node->state != NodeState::kUp) return "a member's node is not up";
    if (!node->gangs.contains(job.id)) return "a member's node does not know it";
  }
  if (ranks != gang.size || !std::has_single_bit(gang.size)) return "it is not whole";
  if (job.request.shards % gang.size != 0) return "its size does not divide the shards";
  if (gang.attempt != job.attempt) return "it is not of the job's attempt";
  return "";
}

std::string CheckAttempts(const Job& job) {
  std::uint32_t last = 0;
  std::size_t open = 0;
  for (const AttemptRecord& record : job.attempts) {
    if (Number(record.attempt) <= last) return "attempts do not grow";
    last = Number(record.attempt);
    if (record.end == AttemptEnd::kNone) ++open;
  }
  if (last != Number(job.attempt)) return "the newest attempt has no record";
  if (open != (ActiveGang(job) == nullptr ? 0U : 1U)) return "attempts and gang disagree";
  std::uint64_t step = 0;
  for (const CheckpointRecord& checkpoint : job.checkpoints) {
    if (&checkpoint != &job.checkpoints.front() && checkpoint.step <= step) {
      return "checkpoints do not grow";
    }
    step = checkpoint.step;
  }
  if (job.attempts.size() > kAttemptRecordsMax ||
      job.checkpoints.size() > kCheckpointRecordsMax + 1) {
    return "its history is too long";
  }
  return "";
}

}  // namespace

std::string SanityCheck(const Ledger& ledger) {
  for (const auto& [id, node] : ledger.nodes) {
    if (node.slots_used > node.slots || node.gpus_used > node.gpus) {
      return Concat("node ", id, " is oversubscribed");
    }
    if (node.state != NodeState::kUp && (node.slots_used != 0 || node.gpus_used != 0)) {
      return Concat("node ", id, " is not up but holds gangs");
    }
  }
  for (const auto& [sequence, id] : ledger.by_sequence) {
    const Job& job = ledger.jobs.at(id);
    const std::string attempts = CheckAttempts(job);
    if (!attempts.empty()) return Concat("job ", id, ": ", attempts);
    if (const Gang* gang = ActiveGang(job)) {
      const std::string wrong = CheckGang(ledger, job, *gang);
      if (!wrong.empty()) return Concat("gang of job ", id, ": ", wrong);
    }
    if (job.finished_at.has_value() != IsFinished(job)) return Concat("job ", id, ": finished_at");
  }
  // Slot use and every index follow from jobs and nodes.
  if (Rebuild(Dismantle(ledger)) != ledger) return "an index does not follow from the jobs";
  return "";
}

std::string TransitionCheck(const Ledger& before, const Ledger& after) {
  for (const auto& [sequence, id] : before.by_sequence) {
    const Job& old = before.jobs.at(id);
    const Job* job = FindJob(after, id);
    if (job == nullptr) {
      if (!IsFinished(old)) return Concat("job ", id, " vanished");
      continue;
    }
    if (IsFinished(old) && old != *job) return Concat("finished job ", id, " changed");
    const std::uint32_t from = Number(old.attempt);
    const std::uint32_t to = Number(job->attempt);
    if (to < from || to > from + 1) return Concat("attempts of job ", id, " jump");
    if (to != from && ActiveGang(old) != nullptr) {
      return Concat("job ", id, " got a second live attempt");
    }
  }
  return "";
}

}  // namespace tutti::core
