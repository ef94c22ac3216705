// Ranks that hold their gang up, and ranks that are slower than the others, as the newest
// heartbeats of the gang's workers say: shown, told as events and measured, never journaled.
//
// Of the loop's thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "scheduler/coordinator/loop.h"
#include "scheduler/core/state.h"
#include "scheduler/http/events.h"

namespace tutti::metrics {
class TrainingMetrics;
}

namespace tutti::coordinator {

struct StalledRank {
  core::StallSeen stall;
  std::string worker;
};

// The slowest rank of a gang: seconds a step, reductions left out.
struct Straggler {
  std::uint32_t rank = 0;
  std::string worker;
  double compute_seconds = 0;
  double median_seconds = 0;  // of the gang's ranks
  double delay_seconds() const { return compute_seconds - median_seconds; }
};

struct GangHealth {
  std::vector<StalledRank> stalled;
  std::optional<Straggler> slowest;  // once every rank of two or more has told its time
};

// Of the job's active gang.
GangHealth HealthOf(const core::State& state, const core::Job& job);

class GangWatch {
 public:
  // Both outlive it.
  GangWatch(http::EventHub& events, metrics::TrainingMetrics& metrics)
      : events_(events), metrics_(metrics) {}

  // A worker's heartbeat was observed.
  void Heard(const core::State& state, const std::vector<core::GangSeen>& gangs);
  // Attempts that ended are forgotten. Before the end of a job is measured.
  void OnStored(const Stored& stored);
  // The rank that has been much slower than the others for a while.
  const Straggler* StragglerOf(JobId job) const;

 private:
  struct Watched {
    Attempt attempt{};
    std::optional<Straggler> slow;  // by the newest heartbeat
    int beats = 0;                  // in a row that said so of this rank
    bool told = false;
  };
  void Look(const core::State& state, const core::Job& job);
  void Tell(const core::Job& job, const Straggler& straggler);

  http::EventHub& events_;
  metrics::TrainingMetrics& metrics_;
  std::map<JobId, Watched> jobs_;
};

}  // namespace tutti::coordinator
