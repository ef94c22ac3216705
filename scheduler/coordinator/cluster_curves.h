// Curves of the cluster and of each worker: queue, slots, memory, processor, every ten seconds.
//
// Of the loop's thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/base/time.h"
#include "monitoring/history/history.h"
#include "scheduler/core/state.h"

namespace tutti::coordinator {

inline constexpr const char* kClusterSubject = "cluster";
std::string WorkerSubject(std::string_view name);  // "worker/NAME"

class ClusterCurves {
 public:
  // Outlives it.
  explicit ClusterCurves(history::History& history) : history_(history) {}

  // Before each of the scheduler's ticks.
  void Tick(const core::State& state, Instant now);

  // What is to be told now: jobs_queued, jobs_running, slots_total, slots_used of the cluster; of
  // each worker that is up cpu_ratio (of its cores, since the call before), memory_used_bytes,
  // disk_free_bytes, slots_used.
  std::vector<history::Sample> SamplesOf(const core::State& state, Instant now, WallTime at);

 private:
  struct Cpu {
    double seconds = 0;
    Instant seen;
  };
  history::History& history_;
  Instant next_;
  std::map<NodeId, Cpu> cpus_;
};

}  // namespace tutti::coordinator
