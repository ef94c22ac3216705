// What administrators ask of nodes: to be emptied, and to take gangs again.
#include "common/base/check.h"
#include "scheduler/core/decision.h"

namespace tutti::core {
namespace {

using internal::Concat;

Result<const Node*> NeedNode(const Ledger& ledger, NodeId id) {
  if (const Node* node = FindNode(ledger, id)) return node;
  return Fail(ErrorCode::kNotFound, Concat("there is no worker ", id));
}

// A gang that stops for another reason already leaves the node just as well.
void GiveWay(Decision& decision, JobId id) {
  const Job& job = decision.state.ledger.jobs.at(id);
  if (!std::holds_alternative<Stopping>(job.phase)) RequestStop(decision, job, StopWhy::kDrain);
}

}  // namespace

void RequestStop(Decision& decision, const Job& job, StopWhy why) {
  decision.Say(StopRequested{job.id, job.attempt, why, decision.at});
  const bool kill = why == StopWhy::kCancel;
  SendStop(decision, job, kill ? StopMode::kKill : StopMode::kCheckpoint,
           std::string(ToString(why)));
}

Status Decide(Decision& decision, const DrainAll&) {
  for (JobId id : decision.state.ledger.active) GiveWay(decision, id);
  return {};
}

Status Decide(Decision& decision, const DrainNode& input) {
  TUTTI_ASSIGN_OR_RETURN(const Node* node, NeedNode(decision.state.ledger, input.node));
  decision.out.reply = NodeReply{node->id};
  if (node->draining == input.drain) return {};
  decision.Say(NodeDrained{node->id, input.drain, decision.at});
  if (!input.drain) return {};
  for (JobId id : node->gangs) GiveWay(decision, id);
  return {};
}

}  // namespace tutti::core
