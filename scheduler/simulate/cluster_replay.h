// What becomes of a workload under a policy and a set of workers: the scheduler's own Step, Apply
// and Observe on a virtual clock, event by event, over workers that never fail. One thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "scheduler/simulate/workload.h"

namespace tutti::simulate {

struct ClusterFigures {
  std::string policy;
  std::size_t workers = 0;
  std::size_t jobs = 0;       // done
  std::size_t left_out = 0;   // refused, or never startable on these workers
  double avg_wait_hours = 0;  // submission to first start
  double avg_jct_hours = 0, p50_jct_hours = 0, p99_jct_hours = 0;
  double makespan_hours = 0;
  double utilization = 0;
  double decision_ms_p99 = 0;  // of a Tick; wall time
  std::uint64_t preemptions = 0;
};

// kInvalid: an unknown policy, a queue that cannot be.
Result<ClusterFigures> ReplayCluster(const ClusterWorkload& workload);

nlohmann::ordered_json JsonOf(const ClusterFigures& figures);

// The workload with so many workers more, each like the one with the most slots.
ClusterWorkload WithWorkers(ClusterWorkload workload, std::uint32_t more);

}  // namespace tutti::simulate
