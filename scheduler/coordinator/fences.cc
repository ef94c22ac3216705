#include "scheduler/coordinator/fences.h"

#include "common/base/log.h"

namespace tutti::coordinator {
namespace {

// The gang of that attempt, if it is the active one and the node is of it.
const core::Gang* GangOf(const core::Ledger& ledger, JobId id, Attempt attempt, NodeId node) {
  const core::Job* job = core::FindJob(ledger, id);
  const core::Gang* gang = job == nullptr ? nullptr : core::ActiveGang(*job);
  if (gang == nullptr || gang->attempt != attempt) return nullptr;
  for (const core::GangMember& member : gang->members) {
    if (member.node == node) return gang;
  }
  return nullptr;
}

}  // namespace

void Fences::Hear(const core::Ledger& ledger, NodeId node, const wire::Fence& fence,
                  const Send& send) {
  const auto job = JobId::Parse(fence.job());
  const Attempt attempt{fence.attempt()};
  const core::Gang* gang = job ? GangOf(ledger, *job, attempt, node) : nullptr;
  if (gang == nullptr || fence.sequence() == 0 || fence.sequence() > kSequencesMax ||
      fence.data().size() > kDataBytesMax) {
    Log(kWarning, "fence_dropped", {{"job", fence.job()}, {"attempt", fence.attempt()}});
    return;
  }
  auto& meeting = meetings_[{*job, attempt, fence.sequence()}];
  const bool was_complete = meeting.size() == gang->members.size();
  meeting.insert_or_assign(node, fence.data());
  if (meeting.size() < gang->members.size()) return;
  wire::ToWorker message;
  wire::FenceDone& done = *message.mutable_fence_done();
  done.set_job(fence.job());
  done.set_attempt(fence.attempt());
  done.set_sequence(fence.sequence());
  for (const core::GangMember& member : gang->members) {
    done.mutable_data()->append(meeting.at(member.node));
  }
  for (const core::GangMember& member : gang->members) {
    // One that asks again may have missed the answer; the others have theirs.
    if (!was_complete || member.node == node) send(member.node, message);
  }
}

void Fences::Sweep(const core::Ledger& ledger) {
  std::erase_if(meetings_, [&](const auto& entry) {
    const core::Job* job = core::FindJob(ledger, entry.first.job);
    const core::Gang* gang = job == nullptr ? nullptr : core::ActiveGang(*job);
    return gang == nullptr || gang->attempt != entry.first.attempt;
  });
}

}  // namespace tutti::coordinator
