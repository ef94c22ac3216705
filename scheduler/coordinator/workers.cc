#include "scheduler/coordinator/workers.h"

#include <utility>

#include "common/base/log.h"
#include "common/wire/protocol.h"
#include "monitoring/metrics/metrics.h"
#include "scheduler/coordinator/durations.h"
#include "scheduler/coordinator/models.h"
#include "scheduler/coordinator/random_bits.h"
#include "scheduler/coordinator/wire_inputs.h"

namespace tutti::coordinator {
namespace {

constexpr int kNodeIdTries = 4;  // fresh node ids, should one be taken
constexpr std::size_t kLabelsMax = 64;
constexpr std::size_t kAddressMax = 64;

bool IsMember(const core::Job& job, Attempt attempt, NodeId node) {
  const core::Gang* gang = core::ActiveGang(job);
  if (gang == nullptr || gang->attempt != attempt) return false;
  for (const core::GangMember& member : gang->members) {
    if (member.node == node) return true;
  }
  return false;
}

Error Removed(const std::string& name) {
  return {ErrorCode::kAuth,
          "worker '" + name + "' was removed from the cluster",
          {},
          "join it again with a new string of `tutti worker token`"};
}

}  // namespace

Workers::Workers(Parts parts)
    : parts_(parts),
      tools_({.connected =
                  [this] {
                    // Those that drain are asked when there are no others.
                    std::vector<NodeId> nodes;
                    for (const auto& [node, session] : by_node_) {
                      if (!sessions_.at(session).draining) nodes.push_back(node);
                    }
                    if (!nodes.empty()) return nodes;
                    for (const auto& [node, session] : by_node_) nodes.push_back(node);
                    return nodes;
                  },
              .send = [this](NodeId node,
                             wire::ToWorker message) { return Send(node, std::move(message)); }},
             RandomBits() >> 1) {}

void Workers::Answer(const Peer& peer, std::uint64_t session, wire::ToWorker message) const {
  if (!offer_.send) return;
  message.set_session(session);
  message.set_generation(offer_.generation);
  offer_.send(peer.route, message);
}

bool Workers::Send(NodeId node, wire::ToWorker message) {
  const Session* session = Of(node);
  if (session == nullptr) return false;
  Answer(session->peer, session->id, std::move(message));
  return true;
}

const Session* Workers::Of(NodeId node) const {
  const auto found = by_node_.find(node);
  return found == by_node_.end() ? nullptr : &sessions_.at(found->second);
}

std::optional<NodeId> Workers::SharingJobsFolder() const {
  for (const auto& [node, session] : by_node_) {
    if (sessions_.at(session).shares_jobs_folder) return node;
  }
  return std::nullopt;
}

// The session a message belongs to: known by its number, and by the key it authenticated with.
Session* Workers::Known(const Peer& peer, std::uint64_t session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end() || found->second.peer.user != peer.user) return nullptr;
  found->second.peer.route = peer.route;  // it may have connected anew
  return &found->second;
}

void Workers::End(std::uint64_t session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  const NodeId node = found->second.node;
  sessions_.erase(found);
  by_node_.erase(node);
  tools_.WorkerGone(node);
}

void Workers::Tick(Round& round) {
  const core::Ledger& ledger = round.state().ledger;
  std::vector<std::uint64_t> gone;
  for (auto& [id, session] : sessions_) {
    const core::Node* node = core::FindNode(ledger, session.node);
    if (node == nullptr || node->state != core::NodeState::kUp || node->session != id) {
      gone.push_back(id);
    } else {
      session.draining = node->draining;
    }
  }
  for (const std::uint64_t id : gone) End(id);
  fences_.Sweep(ledger);
  tools_.Tick(round);
}

void Workers::Handle(Round& round, const Peer& peer, const wire::ToCoordinator& message) {
  if (revoked_.contains(peer.user) && (message.has_register_() || message.has_heartbeat())) {
    return Refuse(peer, message.session(), Removed(peer.user));
  }
  if (message.has_register_()) {
    return Register(round, peer, message.session(), message.register_());
  }
  const Session* session = Known(peer, message.session());
  if (session == nullptr) {
    wire::ToWorker answer;
    answer.mutable_reregister();
    return Answer(peer, message.session(), std::move(answer));
  }
  switch (message.body_case()) {
    case wire::ToCoordinator::kHeartbeat:
      return Hear(round, *session, message.heartbeat());
    case wire::ToCoordinator::kGangReport:
      return Hear(round, *session, message.gang_report());
    case wire::ToCoordinator::kGangProgress:
      return Hear(round, *session, message.gang_progress());
    case wire::ToCoordinator::kLogChunk:
      return Hear(round, *session, message.log_chunk());
    case wire::ToCoordinator::kToolResult:
      return tools_.Answer(round, session->node, message.tool_result());
    case wire::ToCoordinator::kToolOutput:
      return tools_.Hear(session->node, message.tool_output());
    case wire::ToCoordinator::kFence:
      return fences_.Hear(
          round.state().ledger, session->node, message.fence(),
          [this](NodeId node, wire::ToWorker done) { Send(node, std::move(done)); });
    case wire::ToCoordinator::kGoodbye: {
      const NodeId node = session->node;
      if (round.Step(core::Goodbye{node})) End(message.session());
      return;
    }
    case wire::ToCoordinator::kRegister:
    case wire::ToCoordinator::BODY_NOT_SET:
      return;
  }
}

// ---- registration ----------------------------------------------------------------------------

void Workers::Revoke(const std::string& name) {
  revoked_.insert(name);
  for (const auto& [id, session] : sessions_) {
    if (session.peer.user == name) Refuse(session.peer, id, Removed(name));
  }
}

void Workers::Refuse(const Peer& peer, std::uint64_t session, const Error& error) {
  Log(kWarning, "worker_refused", {{"worker", peer.user}, {"error", error.ToString()}});
  wire::ToWorker answer;
  answer.mutable_refused()->set_message(error.message);
  answer.mutable_refused()->set_hint(error.hint);
  Answer(peer, session, std::move(answer));
}

void Workers::Register(Round& round, const Peer& peer, std::uint64_t session,
                       const wire::Register& message) {
  if (message.name() != peer.user) {
    return Refuse(
        peer, session,
        {ErrorCode::kInvalid,
         "the worker calls itself '" + message.name() + "', its key is that of '" + peer.user + "'",
         {},
         "start it with --name " + peer.user});
  }
  if (const auto taken = sessions_.find(session);
      taken != sessions_.end() && taken->second.peer.user != peer.user) {
    return Refuse(peer, session, {ErrorCode::kConflict, "the session number is another worker's"});
  }
  Result<core::Reply> reply;
  core::RegisterNode input;
  for (int i = 0; i < kNodeIdTries; ++i) {
    auto read = ReadRegister(message, session, NodeId(RandomBits()));
    if (!read) return Refuse(peer, session, read.error());
    input = *read;
    reply = round.Step(std::move(*read));
    if (reply || reply.error().code != ErrorCode::kUnavailable) break;
  }
  if (!reply) {
    // A store that cannot write now: the worker asks again.
    if (reply.error().code == ErrorCode::kDiskFull) return;
    return Refuse(peer, session, reply.error());
  }
  const NodeId node = std::get<core::NodeReply>(*reply).node;
  round.Observe(core::WorkerSeen{.node = node,
                                 .at = WallNow(),
                                 .session = session,
                                 .gangs = input.gangs,
                                 .disk_free_bytes = message.resources().disk_free_bytes(),
                                 .pid = message.pid(),
                                 .zygote_pid = message.zygote_pid()});
  if (const auto earlier = by_node_.find(node);
      earlier != by_node_.end() && earlier->second != session) {
    End(earlier->second);
  }
  Session& known = sessions_[session];
  known = {.id = session, .node = node, .peer = peer, .labels = {}};
  known.address = message.address().substr(0, kAddressMax);
  known.shares_jobs_folder = message.jobs_folder_id() == offer_.jobs_folder_id;
  for (const auto& [name, value] : message.labels()) {
    if (known.labels.size() < kLabelsMax) known.labels.emplace(name, value);
  }
  by_node_[node] = session;
  round.After([this, peer, session, node, name = message.name(),
               number = message.number()](const Status& stored) {
    if (!stored) return End(session);
    Log(kInfo, "worker_registered", {{"worker", name}, {"node", node.ToString()}});
    parts_.metrics.nodes.Up(name, true);
    wire::ToWorker answer;
    auto* registered = answer.mutable_registered();
    registered->set_node(node.ToString());
    registered->set_heartbeat_interval_ms(wire::kHeartbeatIntervalMs);
    registered->set_lease_ms(wire::kLeaseMs);
    registered->set_http_url(peer.local ? offer_.http_url : offer_.http_url_remote);
    registered->set_http_token(offer_.http_token(peer.user));
    registered->set_http_pin(offer_.http_pin);
    registered->set_log_window_bytes(wire::kLogWindowBytes);
    registered->set_jobs_folder_id(offer_.jobs_folder_id);
    registered->set_number(number);
    Answer(peer, session, std::move(answer));
  });
}

// ---- what registered workers say ---------------------------------------------------------------

void Workers::Hear(Round& round, const Session& session, const wire::Heartbeat& message) {
  const core::Node* node = core::FindNode(round.state().ledger, session.node);
  if (node != nullptr && node->state == core::NodeState::kUp) {
    const WallTime at = WallNow();
    const std::vector<core::GangSeen> gangs = ReadGangs(message.gangs());
    round.Observe(core::WorkerSeen{.node = session.node,
                                   .at = at,
                                   .session = session.id,
                                   .gangs = gangs,
                                   .memory_used_bytes = message.memory_used_bytes(),
                                   .disk_free_bytes = message.disk_free_bytes(),
                                   .cpu_seconds = message.cpu_seconds(),
                                   .zygote_pid = message.zygote_pid()});
    metrics::NodeMetrics& nodes = parts_.metrics.nodes;
    const std::uint64_t used = std::min(message.memory_used_bytes(), node->memory_bytes);
    nodes.Heartbeat(node->name, at);
    nodes.Memory(node->name, Bytes{static_cast<std::int64_t>(node->memory_bytes - used)},
                 Bytes{static_cast<std::int64_t>(used)});
    nodes.DiskFree(node->name, Bytes{static_cast<std::int64_t>(message.disk_free_bytes())});
    nodes.CpuTime(node->name, FromSeconds(message.cpu_seconds()));
    parts_.gangs.Heard(round.state(), gangs);
    for (const core::GangSeen& gang : gangs) {
      const core::Job* job = core::FindJob(round.state().ledger, gang.job);
      if (job == nullptr || !IsMember(*job, gang.attempt, session.node)) continue;
      parts_.progress.HearMemory(*job, gang.memory_bytes, round.now());
    }
  }
  wire::ToWorker answer;
  if (round.Step(core::Heartbeat{session.node})) {
    answer.mutable_heartbeat_ack()->set_number(message.number());
  } else {
    answer.mutable_reregister();
  }
  // At once: it carries no decision, and the worker's lease waits for it.
  Answer(session.peer, session.id, std::move(answer));
}

std::string Workers::MissingOf(const core::ReportEnded& report) const {
  if (!Digest::Parse(report.model_digest)) return "the model has no digest";
  const auto files = ModelFilesOf(report.files);
  if (!files) return files.error().ToString();
  for (const registry::ModelFile& file : *files) {
    if (!parts_.blobs.Touch(file.digest)) return file.path + " was not uploaded";
  }
  return "";
}

// A checkpoint that came from another machine counts once both of its files are here.
bool Workers::Count(Round& round, const Session& session, const wire::GangReport& message,
                    JobId job) {
  core::ReportCheckpoint report = ReadCheckpoint(message, session.node, job);
  parts_.metrics.checkpoints.Stage(metrics::CheckpointStage::kWrite,
                                   FromSeconds(message.checkpoint().write_seconds()));
  const registry::CheckpointStore& store = parts_.checkpoints;
  const registry::CheckpointName name{.step = report.step, .attempt = report.attempt};
  const auto size = store.Size(job, name);
  const bool here = size && store.Size(job, {name.step, name.attempt, /*manifest=*/true});
  if (here) report.path = store.PathOf(job, name).string();
  const core::Job* known = core::FindJob(round.state().ledger, job);
  const bool current = known != nullptr && IsMember(*known, report.attempt, session.node);
  const bool uploaded = current && message.checkpoint().uploaded();
  if (uploaded && (!here || static_cast<std::uint64_t>(size->count) != report.size_bytes)) {
    Log(kError, "checkpoint_not_counted",
        {{"job", job.ToString()}, {"file", name.ToString()}, {"problem", "it did not arrive"}});
    parts_.metrics.checkpoints.Failed("not_arrived");
    return true;
  }
  if (!round.Step(std::move(report))) return false;
  if (!uploaded) return true;
  std::set<std::pair<std::uint64_t, Attempt>> kept;
  for (const core::CheckpointRecord& each : known->checkpoints) {
    kept.emplace(each.step, each.attempt);
  }
  round.After([&store, job, name, kept = std::move(kept)](const Status& stored) {
    if (!stored) return;
    if (const Status collected = store.Collect(job, name, kept); !collected) {
      Log(kError, "checkpoints_left",
          {{"job", job.ToString()}, {"error", collected.error().ToString()}});
    }
  });
  return true;
}

void Workers::Hear(Round& round, const Session& session, const wire::GangReport& message) {
  const auto job = JobId::Parse(message.job());
  Result<core::Reply> decided;
  if (job) {
    switch (message.event_case()) {
      case wire::GangReport::kStarted:
        decided = round.Step(ReadStarted(message, session.node, *job));
        break;
      case wire::GangReport::kCheckpoint:
        if (!Count(round, session, message, *job)) return;
        break;
      case wire::GangReport::kEnded: {
        core::ReportEnded ended = ReadEnded(message, session.node, *job);
        if (ended.outcome == core::GangOutcome::kSucceeded) {
          if (const std::string missing = MissingOf(ended); !missing.empty()) {
            ended.outcome = core::GangOutcome::kFailed;
            ended.reason = spec::FailureReason::kInternal;
            ended.message = "the exported model did not arrive whole: " + missing;
          }
        }
        decided = round.Step(std::move(ended));
        break;
      }
      case wire::GangReport::EVENT_NOT_SET:
        break;
    }
  }
  if (!decided) return;  // nothing can be stored now: the worker repeats it
  // Acknowledged once what it led to is stored; one that led to nothing has nothing to repeat.
  round.After([this, id = message.report_id(), peer = session.peer,
               number = session.id](const Status& stored) {
    if (!stored) return;
    wire::ToWorker answer;
    answer.mutable_report_ack()->set_report_id(id);
    Answer(peer, number, std::move(answer));
  });
}

void Workers::Hear(Round& round, const Session& session, const wire::GangProgress& message) {
  const auto id = JobId::Parse(message.job());
  const core::Job* job = id ? core::FindJob(round.state().ledger, *id) : nullptr;
  if (job == nullptr || !IsMember(*job, Attempt{message.attempt()}, session.node)) return;
  if (const Status heard = parts_.progress.Hear(round, *job, message.payload_json()); !heard) {
    Log(kWarning, "progress_dropped",
        {{"job", message.job()}, {"error", heard.error().ToString()}});
  }
}

void Workers::Hear(Round& round, const Session& session, const wire::LogChunk& message) {
  const auto id = JobId::Parse(message.job());
  const core::Job* job = id ? core::FindJob(round.state().ledger, *id) : nullptr;
  const auto acknowledge = [send = offer_.send, generation = offer_.generation,
                            route = session.peer.route, number = session.id, job = message.job(),
                            attempt = message.attempt(),
                            rank = message.rank()](std::uint64_t up_to) {
    if (!send) return;
    wire::ToWorker answer;
    answer.set_session(number);
    answer.set_generation(generation);
    auto* ack = answer.mutable_log_ack();
    ack->set_job(job);
    ack->set_attempt(attempt);
    ack->set_rank(rank);
    ack->set_up_to_offset(up_to);
    send(route, answer);
  };
  // Of a job nobody knows: there is nothing to keep it for.
  if (job == nullptr || message.attempt() == 0 || message.attempt() > Number(job->attempt)) {
    return acknowledge(message.offset() + message.data().size());
  }
  parts_.logs.Append({.key = {*id, Attempt{message.attempt()}, message.rank()},
                      .offset = message.offset(),
                      .data = message.data(),
                      .at_unix_ms = message.at_unix_ms(),
                      .acknowledge = acknowledge});
}

}  // namespace tutti::coordinator
