// One attempt's gang on this machine: performs the actions of jobs/attempt and tells it what came
// of them.
//
// Owned by Gangs, on the loop's thread. Lives until `on_over` was called.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/wire/messages.pb.h"
#include "jobs/attempt/attempt.h"
#include "worker/agent/address.h"
#include "worker/agent/background.h"
#include "worker/agent/blob_cache.h"
#include "worker/agent/children.h"
#include "worker/agent/gang_checkpoints.h"
#include "worker/agent/gang_fences.h"
#include "worker/agent/gang_inputs.h"
#include "worker/agent/log_shipper.h"
#include "worker/agent/output_pipe.h"
#include "worker/agent/pmix.h"
#include "worker/agent/rank_link.h"
#include "worker/agent/remote_blobs.h"
#include "worker/agent/report_outbox.h"
#include "worker/agent/settings.h"

namespace tutti::agent {

// What gangs work with. Everything outlives them.
struct GangServices {
  Loop& loop;
  Children& children;
  PmixServer& pmix;
  Background& background;
  const BlobCache& cache;
  const RemoteBlobs& remote;
  LogShipper& logs;
  ReportOutbox& reports;
  const Settings& settings;
  // Whether settings.jobs_dir is the coordinator's own folder; what the newest registration says.
  const bool& shares_jobs_dir;
  const LocalAddress& address;  // of this machine, for the gang's others
  std::function<void(const wire::GangProgress&)> send_progress;
  std::function<void(const wire::Fence&)> send_fence;
  std::function<Instant()> lease_until;  // of this worker, as it knows now
  std::function<void()> beat_now;        // what heartbeats say of gangs has changed
  attempt::Limits limits = {};
};

class Gang {
 public:
  // Called once, from the loop: the end has been reported as `ended`, and nothing of the gang is
  // left. It may not destroy the gang before the loop's next round of posted tasks.
  using OnOver = std::function<void(const wire::GangReport& ended)>;

  Gang(const GangServices& services, wire::LaunchGang launch, OnOver on_over);
  ~Gang();
  Gang(const Gang&) = delete;
  Gang& operator=(const Gang&) = delete;

  void Start();
  void Do(attempt::Event event) { Do(std::move(event), {}); }
  void Tick();  // at least once a second
  // The ranks here meet those on other machines; and the answer.
  void OnFence(PmixFence fence) { fences_.Begin(std::move(fence)); }
  void OnFenceDone(const wire::FenceDone& done) { fences_.Finish(done); }
  void OnRegistered() { fences_.SendAll(); }
  // `rank` of the gang called MPI_Abort.
  void OnMpiAborted(std::uint32_t rank, int status) {
    Do(attempt::MpiAborted{rank - launch_.first_rank(), status});
  }

  const std::string& job() const { return launch_.job(); }
  std::uint32_t attempt() const { return launch_.attempt(); }
  std::string name() const;  // "JOB.ATTEMPT", as PMIx and folders have it
  wire::GangStatus Status() const;

 private:
  struct RankRun {
    std::optional<Children::Id> child;
    std::unique_ptr<RankLink> link;
    std::unique_ptr<OutputPipe> output;
    std::optional<LogShipper::Key> log;
  };

  // `line` is what a FromRank event came as.
  void Do(attempt::Event event, std::string line);
  // The actions.
  void Perform(const attempt::SpawnRanks&, const std::string& line);
  void Perform(const attempt::SendToRankZero& action, const std::string& line);
  void Perform(const attempt::KillRanks&, const std::string& line);
  void Perform(const attempt::UploadExport& action, const std::string& line);
  void Perform(const attempt::CleanUp&, const std::string& line);
  void Perform(const attempt::Forward&, const std::string& line);
  void Perform(const attempt::ReportWarning& action, const std::string& line);
  void Perform(const attempt::ReportStall& action, const std::string& line);
  void Perform(const attempt::ReportStarted& action, const std::string& line);
  void Perform(const attempt::ReportCheckpoint& action, const std::string& line);
  void Perform(const attempt::ReportEnded& action, const std::string& line);

  void FetchInputs(GangInputs inputs);
  std::filesystem::path CheckpointDir() const {
    return services_.settings.jobs_dir / launch_.job() / "checkpoints";
  }
  void Warn(const std::string& message);
  void ReportEnd(wire::GangReport report);
  tutti::Status PrepareLaunch();
  tutti::Status SpawnRank(std::uint32_t local);
  Result<enginelink::Spawn> SpawnOf(std::uint32_t local) const;
  enginelink::Plan PlanOf(std::uint32_t local) const;
  void OnSpawned(std::uint32_t local, Result<pid_t> pid);
  void OnExited(std::uint32_t local, const Children::Exit& exit);
  void OnLine(std::uint32_t local, std::string line);
  void ProbeSilentRanks();
  void SayAlive();
  std::uint64_t LeaseUntil() const;  // as enginelink says it
  void WatchMemory();
  void FinishCleaning();
  void RemoveFolder();
  void CallIfOver();

  // Runs `work` in the background; the gang stays until `done` was called.
  template <typename T>
  void Work(std::function<T(std::stop_token)> work, std::function<void(T)> done);
  wire::GangReport NewReport() const;
  void SendProgress(std::string payload_json);
  void SendWarning(enginelink::Warning warning);

  const GangServices& services_;
  const wire::LaunchGang launch_;
  OnOver on_over_;
  std::filesystem::path folder_;
  attempt::State state_;
  std::deque<std::pair<attempt::Event, std::string>> events_;
  bool stepping_ = false;

  GangInputs inputs_;
  LocalInputs local_;
  std::vector<RankRun> ranks_;
  UniqueFd memory_;
  bool in_pmix_ = false;
  GangFences fences_;
  GangCheckpoints checkpoints_;
  std::optional<std::uint64_t> memory_kills_;  // of this machine before the ranks started
  Instant next_alive_;
  Instant next_memory_look_;
  std::vector<std::uint64_t> memory_bytes_;  // of the ranks that live, at the last look
  int works_ = 0;                            // in the background
  std::stop_source stop_work_;
  bool cleaning_ = false;
  wire::Model model_;                      // once uploaded
  std::optional<wire::GangReport> ended_;  // once reported
};

}  // namespace tutti::agent
