// Workers: the sessions of the workers that are connected, and what their messages mean
// (docs/formats/wire.md). A session is one life of a worker's process; its connection may change.
//
// Of the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/join/join_string.h"
#include "common/wire/messages.pb.h"
#include "scheduler/coordinator/fences.h"
#include "scheduler/coordinator/gang_watch.h"
#include "scheduler/coordinator/loop.h"
#include "scheduler/coordinator/progress.h"
#include "scheduler/coordinator/rank_logs.h"
#include "scheduler/coordinator/tools.h"
#include "scheduler/coordinator/worker_link.h"
#include "scheduler/registry/blob_store.h"
#include "scheduler/registry/checkpoint_store.h"

namespace tutti::coordinator {

struct Session {
  std::uint64_t id = 0;
  NodeId node;
  Peer peer;
  std::map<std::string, std::string> labels;
  bool draining = false;
  std::string address = {};  // as the worker says; "" = it does not
  bool shares_jobs_folder = false;
};

// How workers reach the coordinator, and what they are told about it.
struct Offer {
  std::function<void(const std::string& route, const wire::ToWorker&)> send;
  std::uint64_t generation = 0;
  std::string http_url;         // as workers on this machine reach it
  std::string http_url_remote;  // as others do
  std::string http_pin;         // of its certificate; "" = it serves plain HTTP
  std::function<std::string(const std::string& worker)> http_token;
  std::string jobs_folder_id;
  JoinString join;  // without a secret
};

class Workers {
 public:
  // All of it outlives the workers.
  struct Parts {
    ProgressBoard& progress;
    GangWatch& gangs;
    RankLogs& logs;
    const registry::BlobStore& blobs;
    const registry::CheckpointStore& checkpoints;
    metrics::Metrics& metrics;
  };
  explicit Workers(Parts parts);

  // From now on messages are answered.
  void Open(Offer offer) { offer_ = std::move(offer); }

  void Handle(Round& round, const Peer& peer, const wire::ToCoordinator& message);
  // Deadlines of tools, sessions of nodes that are gone. Before each Tick.
  void Tick(Round& round);

  // False when the node is not connected.
  bool Send(NodeId node, wire::ToWorker message);
  const Session* Of(NodeId node) const;
  // One that is connected and has the coordinator's own jobs folder.
  std::optional<NodeId> SharingJobsFolder() const;
  Tools& tools() { return tools_; }

  // Where workers of other machines find the coordinator, without a secret; http is "" while it
  // starts.
  const JoinString& JoinTarget() const { return offer_.join; }
  // A worker whose key was taken back is told to stop, whatever it still sends: what it reports and
  // its goodbye count, nothing else keeps it alive. Until its name is allowed again.
  void Revoke(const std::string& name);
  void Allow(const std::string& name) { revoked_.erase(name); }

 private:
  void Answer(const Peer& peer, std::uint64_t session, wire::ToWorker message) const;
  Session* Known(const Peer& peer, std::uint64_t session);
  void End(std::uint64_t session);

  void Register(Round& round, const Peer& peer, std::uint64_t session,
                const wire::Register& message);
  void Refuse(const Peer& peer, std::uint64_t session, const Error& error);
  void Hear(Round& round, const Session& session, const wire::Heartbeat& message);
  void Hear(Round& round, const Session& session, const wire::GangReport& message);
  void Hear(Round& round, const Session& session, const wire::GangProgress& message);
  void Hear(Round& round, const Session& session, const wire::LogChunk& message);
  // False: nothing can be stored now.
  bool Count(Round& round, const Session& session, const wire::GangReport& message, JobId job);
  // What is wrong with the model of a gang that says it succeeded; "" = nothing.
  std::string MissingOf(const core::ReportEnded& report) const;

  const Parts parts_;
  Offer offer_;
  Tools tools_;
  Fences fences_;
  std::map<std::uint64_t, Session> sessions_;
  std::map<NodeId, std::uint64_t> by_node_;
  std::set<std::string> revoked_;  // names
};

}  // namespace tutti::coordinator
