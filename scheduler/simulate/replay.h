// Replays recorded workloads under a policy in rounds, as the published experiments ran: every
// minute the policy decides, a change of machines costs half a minute. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/simulate/allocator.h"

namespace tutti::simulate {

struct ReplayedJob {
  std::string workload;
  std::string name;
  std::int64_t jct_seconds = 0;  // submission to completion
  std::uint32_t restarts = 0;
  // Finish-time fairness (Themis): the completion time over what it would be with an equal share of
  // the cluster among those it met; above 1 = it came off worse.
  double fairness = 0;
};

struct Replay {
  std::vector<ReplayedJob> jobs;         // workload by workload, in their order
  std::vector<double> makespan_seconds;  // of each workload, from its first submission
  double utilization = 0;                // of all slots, until each workload was done
  std::vector<double> decision_ms;       // of every round; wall time
};

Result<Replay> ReplayTrace(const Trace& trace, std::string_view policy, const Cluster& cluster);

struct Figures {
  std::size_t jobs = 0;
  double avg_jct_hours = 0, p50_jct_hours = 0, p99_jct_hours = 0;  // pooled over all jobs
  double makespan_hours = 0;                                       // mean over workloads
  double utilization = 0;
  double fairness_p50 = 0, fairness_p99 = 0;
  double decision_ms_p50 = 0, decision_ms_p99 = 0;
};
Figures FiguresOf(const Replay& replay);

// The value below which `fraction` of them lie, interpolated as NumPy's percentile does. 0 of none.
double Percentile(std::vector<double> values, double fraction);

}  // namespace tutti::simulate
