// The gangs on this machine, and which launches count: an attempt older than the newest known of
// its job is refused, one that runs is left alone, one that ended is reported again.
//
// Owned by the agent, on its loop's thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/wire/messages.pb.h"
#include "jobs/attempt/attempt.h"
#include "worker/agent/gang.h"

namespace tutti::agent {

class Gangs {
 public:
  explicit Gangs(GangServices services) : services_(std::move(services)) {}

  void Launch(const wire::LaunchGang& launch);
  void Stop(const wire::StopGang& stop);
  void Checkpoint(const wire::CheckpointGang& checkpoint);  // and go on
  void KillAll(const std::string& reason);
  // No launch is taken any more.
  void Close() { closed_ = true; }

  void Tick();  // at least once a second
  void OnZygoteDied();
  void OnFence(PmixFence fence);
  void OnFenceDone(const wire::FenceDone& done);
  void OnRegistered();  // each time: the coordinator may be another process
  void OnMpiAborted(const std::string& gang_name, std::uint32_t rank, int status);

  std::vector<wire::GangStatus> Statuses() const;
  std::vector<std::string> Jobs() const;  // with a gang here
  bool empty() const { return running_.empty(); }

 private:
  // The newest attempt of a job that this process has heard of.
  struct Known {
    std::uint32_t attempt = 0;
    std::uint64_t serial = 0;                 // of the last change, for forgetting the oldest
    std::optional<wire::GangReport> ended{};  // how it ended here
  };

  Known& Remember(const std::string& job, std::uint32_t attempt);
  void OnOver(const std::string& job, const wire::GangReport& ended);
  void ReportUnknown(const wire::StopGang& stop);
  Gang* Running(const std::string& job);
  std::vector<Gang*> All() const;

  GangServices services_;
  std::map<std::string, std::unique_ptr<Gang>> running_;  // by job
  std::map<std::string, wire::LaunchGang> next_;          // by job: waits for the older's end
  std::map<std::string, Known> known_;                    // by job
  std::uint64_t last_serial_ = 0;
  bool closed_ = false;
};

}  // namespace tutti::agent
