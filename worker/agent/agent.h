// The worker program: one machine's slots offered to a coordinator. Ties the parts of this folder
// together on one loop.
//
// Made and run on the program's main thread, once.
#pragma once

#include <csignal>
#include <memory>
#include <optional>
#include <string>

#include "common/base/result.h"
#include "common/wire/messages.pb.h"
#include "worker/agent/address.h"
#include "worker/agent/background.h"
#include "worker/agent/blob_cache.h"
#include "worker/agent/children.h"
#include "worker/agent/coordinator_link.h"
#include "worker/agent/gangs.h"
#include "worker/agent/log_shipper.h"
#include "worker/agent/loop.h"
#include "worker/agent/machine.h"
#include "worker/agent/membership.h"
#include "worker/agent/pmix.h"
#include "worker/agent/remote_blobs.h"
#include "worker/agent/report_outbox.h"
#include "worker/agent/settings.h"
#include "worker/agent/tools.h"

namespace tutti::agent {

class Agent {
 public:
  // Everything up to the first message. kConflict when another worker runs in the same directory.
  static Result<std::unique_ptr<Agent>> Start(Settings settings);
  ~Agent();  // removes what belongs to attempts
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // Until SIGTERM, SIGINT or a refusal; the exit status.
  int Run();

 private:
  explicit Agent(Settings settings) : settings_(std::move(settings)) {}

  Status PrepareFolders();
  Status WatchSignals();
  Status StartProcesses();
  Status Describe();
  Status Connect();
  void MakeParts();

  void OnSignals();
  void OnMessage(const wire::ToWorker& message);
  void OnRegistered(const wire::Registered& registered);
  void OnRefused(const wire::Refused& refused);
  void OnKeyRefused();
  // Off the loop: it may ask a name server.
  void LookForAddress();
  void Tick();
  void BeginStop();
  void StopIfDone();

  wire::Register RegisterMessage();
  wire::Heartbeat HeartbeatMessage();
  // Puts a message of this session into its envelope and sends it.
  template <typename Fill>
  bool Send(Fill fill);

  const Settings settings_;
  UniqueFd lock_;
  std::unique_ptr<Loop> loop_;
  UniqueFd signals_;
  wire::Resources resources_;
  Machine machine_;
  LocalAddress address_;
  bool looking_for_address_ = false;
  bool shares_jobs_dir_ = true;

  // In the order they are made; the later ones use the earlier ones.
  RemoteBlobs remote_;
  std::optional<BlobCache> cache_;
  std::optional<Children> children_;
  std::unique_ptr<PmixServer> pmix_;
  std::optional<Background> background_;
  std::unique_ptr<CoordinatorLink> link_;
  std::optional<Membership> membership_;
  std::optional<ReportOutbox> reports_;
  std::optional<LogShipper> logs_;
  std::optional<Gangs> gangs_;
  std::optional<Tools> tools_;

  Instant next_gang_tick_;
  Instant next_prune_;
  Instant next_token_look_;
  Instant next_complaint_;          // about a coordinator that does not answer
  std::optional<Instant> stop_by_;  // while stopping
  int exit_status_ = 0;
};

}  // namespace tutti::agent
