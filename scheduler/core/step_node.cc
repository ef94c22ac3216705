// Workers that come, beat and go.
#include "common/base/check.h"
#include "scheduler/core/decision.h"

namespace tutti::core {
namespace {

using internal::Concat;

bool Lists(const std::vector<GangSeen>& gangs, JobId job, Attempt attempt) {
  for (const GangSeen& gang : gangs) {
    if (gang.job == job && gang.attempt == attempt) return true;
  }
  return false;
}

// Gangs a worker lists that the ledger does not have there: fenced off.
void KillStale(Decision& decision, NodeId node, const std::vector<GangSeen>& gangs) {
  for (const GangSeen& seen : gangs) {
    const Job* job = FindJob(decision.state.ledger, seen.job);
    const Gang* gang = job == nullptr ? nullptr : ActiveGang(*job);
    if (gang != nullptr && gang->attempt == seen.attempt && IsMember(*gang, node)) continue;
    decision.Do(StopGang{node, seen.job, seen.attempt, StopMode::kKill, "stale"});
  }
}

Amount HeldOn(const Job& job, NodeId node) {
  Amount held;
  for (const GangMember& member : ActiveGang(job)->members) {
    if (member.node == node) held += AmountOf(job.request, member.ranks);
  }
  return held;
}

// A gang not launched as far as anybody saw: launching it on the new process is safe.
bool NeverSeen(const Decision& decision, const Job& job) {
  const GangTrack* track = TrackOf(decision.state.liveness, job);
  return std::holds_alternative<Starting>(job.phase) && (track == nullptr || track->listed.empty());
}

// Ends the gangs that did not survive a restart of the worker process; what stays must fit.
void SettleGangs(Decision& decision, const Node& node, const RegisterNode& input) {
  const bool restarted = node.session != input.session;
  std::vector<const Job*> kept;
  Amount held;
  for (JobId id : node.gangs) {
    const Job& job = decision.state.ledger.jobs.at(id);
    if (restarted && !Lists(input.gangs, id, job.attempt) && !NeverSeen(decision, job)) {
      SendStop(decision, job, StopMode::kKill, "peers ended");  // its other machines' ranks wait
      EndAttempt(decision, job,
                 Ending{.message = Concat("worker ", node.name, " restarted without the gang")});
      continue;
    }
    kept.push_back(&job);
    held += HeldOn(job, node.id);
  }
  if (Covers({input.slots, input.gpus}, held)) return;
  const std::string has = held.slots > input.slots ? SlotsText(input.slots) : GpusText(input.gpus);
  for (const Job* job : kept) {
    SendStop(decision, *job, StopMode::kKill, "slots");
    EndAttempt(decision, *job,
               Ending{.message = Concat("worker ", node.name, " came back with ", has,
                                        ", too few for its gangs")});
  }
}

}  // namespace

Status Decide(Decision& decision, const RegisterNode& input) {
  const Ledger& ledger = decision.state.ledger;
  constexpr std::uint32_t kSlotsMax = 1 << 20;
  constexpr std::uint32_t kGpusMax = 1024;
  if (input.name.empty() || input.name.size() > 63) {
    return Fail(ErrorCode::kInvalid, "a worker's name has 1 to 63 characters");
  }
  if (input.slots == 0 || input.slots > kSlotsMax) {
    return Fail(ErrorCode::kInvalid, Concat("worker ", input.name, " offers ", input.slots,
                                            " slots; at least 1 and at most ", kSlotsMax));
  }
  if (input.gpus > kGpusMax) {
    return Fail(ErrorCode::kInvalid,
                Concat("worker ", input.name, " offers ", input.gpus, " GPUs; at most ", kGpusMax));
  }
  const auto named = ledger.node_by_name.find(input.name);
  const bool known = named != ledger.node_by_name.end();
  const NodeId id = known ? named->second : input.node;
  if (!known) {
    if (FindNode(ledger, id) != nullptr) {
      return Fail(ErrorCode::kUnavailable, "the node id is taken", {}, "try again");
    }
    if (ledger.nodes.size() >= kNodesMax) {
      return Fail(ErrorCode::kQuota, Concat("there are ", kNodesMax, " workers already"));
    }
  }
  const NodeRegistered fact{id,
                            input.name,
                            input.session,
                            input.version,
                            input.slots,
                            input.cores,
                            input.memory_bytes,
                            input.disk_bytes,
                            input.cpu_model,
                            input.numerics_fingerprint,
                            decision.at,
                            input.labels,
                            input.gpus,
                            input.gpu_model};
  const Node* node = FindNode(ledger, id);
  if (node != nullptr) SettleGangs(decision, *node, input);
  const bool same =
      node != nullptr && node->state == NodeState::kUp && node->session == input.session &&
      node->version == input.version && node->slots == input.slots && node->cores == input.cores &&
      node->memory_bytes == input.memory_bytes && node->disk_bytes == input.disk_bytes &&
      node->cpu_model == input.cpu_model &&
      node->numerics_fingerprint == input.numerics_fingerprint && node->labels == input.labels &&
      node->gpus == input.gpus && node->gpu_model == input.gpu_model;
  if (!same) decision.Say(fact);
  KillStale(decision, id, input.gangs);
  decision.out.reply = NodeReply{id};
  return {};
}

Status Decide(Decision& decision, const Heartbeat& input) {
  const Node* node = FindNode(decision.state.ledger, input.node);
  const auto seen = decision.state.liveness.nodes.find(input.node);
  if (node == nullptr || node->state != NodeState::kUp ||
      seen == decision.state.liveness.nodes.end()) {
    return Fail(ErrorCode::kNotFound, "the worker has to register again");
  }
  KillStale(decision, input.node, seen->second.gangs);
  return {};
}

Status Decide(Decision& decision, const Goodbye& input) {
  const Node* node = FindNode(decision.state.ledger, input.node);
  if (node == nullptr || node->state != NodeState::kUp) return {};
  for (JobId id : node->gangs) {
    EndAttempt(decision, decision.state.ledger.jobs.at(id),
               Ending{.message = Concat("worker ", node->name, " left")});
  }
  decision.Say(NodeLeft{node->id, decision.at});
  decision.See(NodeGone{node->id});
  return {};
}

}  // namespace tutti::core
