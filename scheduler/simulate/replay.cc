#include "scheduler/simulate/replay.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <numeric>
#include <utility>

#include "common/base/check.h"

namespace tutti::simulate {
namespace {

constexpr std::int64_t kRoundSeconds = 60;
constexpr std::int64_t kYear = 365LL * 24 * 3600;

Shape ShapeOf(const std::vector<std::uint32_t>& machines) {
  Shape shape;
  for (std::size_t i = 0; i < machines.size(); ++i) {
    if (i == 0 || machines[i] != machines[i - 1]) shape.push_back(0);
    ++shape.back();
  }
  return shape;
}

// One workload from its first second until its last job is done.
class Run {
 public:
  Run(const Workload& workload, Allocator& allocator, const Cluster& cluster)
      : workload_(workload), allocator_(allocator), cluster_(cluster) {
    for (const TraceJob& job : workload.jobs) jobs_.emplace_back(job);
    demand_seconds_.resize(jobs_.size());
  }

  Status ToTheEnd(Replay& replay) {
    std::size_t left = jobs_.size();
    while (left > 0) {
      if (now_ > kYear) return Starved();
      TUTTI_RETURN_IF_ERROR(Advance(left));
      TUTTI_RETURN_IF_ERROR(Decide(replay));
    }
    return Account(replay);
  }

  double rank_seconds() const {
    return std::accumulate(jobs_.begin(), jobs_.end(), 0.0, [](double sum, const Training& job) {
      return sum + job.rank_seconds();
    });
  }
  double slot_seconds() const {
    return static_cast<double>(last_ - First()) * cluster_.machines * cluster_.slots;
  }

 private:
  bool Here(const Training& job) const {
    return job.job().submitted_seconds <= now_ && !job.completed_at();
  }

  Unexpected Starved() const {
    std::string names;
    for (const Training& job : jobs_) {
      if (!job.completed_at()) names += (names.empty() ? "" : ", ") + job.job().name;
    }
    return Fail(ErrorCode::kInvalid, "not done within a year: " + names, workload_.name);
  }

  std::int64_t First() const {
    std::int64_t first = kYear;
    for (const TraceJob& job : workload_.jobs) first = std::min(first, job.submitted_seconds);
    return first;
  }

  Status Advance(std::size_t& left) {
    double demand = 0;
    for (const Training& job : jobs_) {
      if (Here(job)) demand += job.job().ranks;
    }
    for (std::size_t i = 0; i < jobs_.size(); ++i) {
      Training& job = jobs_[i];
      if (!Here(job)) continue;
      demand_seconds_[i] += demand * kRoundSeconds;
      TUTTI_RETURN_IF_ERROR(job.Run(now_, kRoundSeconds));
      if (!job.completed_at()) continue;
      --left;
      last_ = std::max(last_, *job.completed_at());
    }
    now_ += kRoundSeconds;
    return {};
  }

  Status Decide(Replay& replay) {
    Round round{.now_seconds = now_, .jobs = {}};
    for (std::size_t i = 0; i < jobs_.size(); ++i) {
      if (Here(jobs_[i])) round.jobs.emplace_back(i, &jobs_[i]);
    }
    if (round.jobs.empty()) return {};
    const auto started = std::chrono::steady_clock::now();
    TUTTI_ASSIGN_OR_RETURN(Allocations next, allocator_.Allocate(round));
    replay.decision_ms.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - started)
            .count());
    TUTTI_RETURN_IF_ERROR(Check(next));
    for (const auto& [i, job] : round.jobs) {
      const auto had = allocations_.find(i);
      const auto has = next.find(i);
      const bool none = has == next.end();
      if (none ? had == allocations_.end()
               : had != allocations_.end() && had->second == has->second) {
        continue;
      }
      jobs_[i].Reallocate(none ? Shape{} : ShapeOf(has->second));
    }
    allocations_ = std::move(next);
    return {};
  }

  // No policy may give out what there is not.
  Status Check(const Allocations& next) const {
    std::vector<std::uint32_t> used(cluster_.machines);
    for (const auto& [job, machines] : next) {
      for (const std::uint32_t machine : machines) {
        if (++used.at(machine) > cluster_.slots) {
          return Fail(ErrorCode::kInternal, "the policy gave a machine's slots out twice",
                      workload_.name);
        }
      }
    }
    return {};
  }

  Status Account(Replay& replay) {
    for (std::size_t i = 0; i < jobs_.size(); ++i) {
      const Training& job = jobs_[i];
      const std::int64_t jct = *job.completed_at() - job.job().submitted_seconds;
      // Recorded sizes that were never measured packed are left out of fairness, not guessed.
      double fairness = 0;
      if (const auto alone = SecondsAlone(job.job(), Packed(job.job().ranks, cluster_))) {
        const double rounds =
            std::max<double>(1, std::ceil(static_cast<double>(jct) / kRoundSeconds));
        const double met = demand_seconds_[i] / (rounds * kRoundSeconds);
        const double contention = std::max(1.0, met / (cluster_.machines * cluster_.slots));
        fairness = static_cast<double>(jct) / (static_cast<double>(*alone) * contention);
      }
      replay.jobs.push_back({workload_.name, job.job().name, jct, job.restarts(), fairness});
    }
    replay.makespan_seconds.push_back(static_cast<double>(last_ - First()));
    return {};
  }

  const Workload& workload_;
  Allocator& allocator_;
  Cluster cluster_;
  std::vector<Training> jobs_;
  std::vector<double> demand_seconds_;  // ranks asked for by all, over each job's life
  Allocations allocations_;
  std::int64_t now_ = 0;
  std::int64_t last_ = 0;
};

}  // namespace

Result<Replay> ReplayTrace(const Trace& trace, std::string_view policy, const Cluster& cluster) {
  Replay replay;
  double used = 0;
  double offered = 0;
  for (const Workload& workload : trace.workloads) {
    TUTTI_ASSIGN_OR_RETURN(const auto allocator, MakeAllocator(policy, cluster));
    Run run(workload, *allocator, cluster);
    TUTTI_RETURN_IF_ERROR(run.ToTheEnd(replay));
    used += run.rank_seconds();
    offered += run.slot_seconds();
  }
  replay.utilization = offered > 0 ? used / offered : 0;
  return replay;
}

double Percentile(std::vector<double> values, double fraction) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double at = fraction * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (values[high] - values[low]) * (at - static_cast<double>(low));
}

Figures FiguresOf(const Replay& replay) {
  std::vector<double> jct;
  std::vector<double> fairness;
  for (const ReplayedJob& job : replay.jobs) {
    jct.push_back(static_cast<double>(job.jct_seconds) / 3600);
    if (job.fairness > 0) fairness.push_back(job.fairness);
  }
  const auto mean = [](const std::vector<double>& values) {
    return values.empty() ? 0
                          : std::accumulate(values.begin(), values.end(), 0.0) /
                                static_cast<double>(values.size());
  };
  return {.jobs = jct.size(),
          .avg_jct_hours = mean(jct),
          .p50_jct_hours = Percentile(jct, 0.5),
          .p99_jct_hours = Percentile(jct, 0.99),
          .makespan_hours = mean(replay.makespan_seconds) / 3600,
          .utilization = replay.utilization,
          .fairness_p50 = Percentile(fairness, 0.5),
          .fairness_p99 = Percentile(fairness, 0.99),
          .decision_ms_p50 = Percentile(replay.decision_ms, 0.5),
          .decision_ms_p99 = Percentile(replay.decision_ms, 0.99)};
}

}  // namespace tutti::simulate
