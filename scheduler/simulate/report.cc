#include "scheduler/simulate/report.h"

#include <cstdio>

namespace tutti::simulate {

nlohmann::ordered_json JsonOf(std::string_view policy, const Replay& replay) {
  const Figures figures = FiguresOf(replay);
  nlohmann::ordered_json json;
  json["policy"] = policy;
  json["jobs"] = figures.jobs;
  json["avg_jct_hours"] = figures.avg_jct_hours;
  json["p50_jct_hours"] = figures.p50_jct_hours;
  json["p99_jct_hours"] = figures.p99_jct_hours;
  json["makespan_hours"] = figures.makespan_hours;
  json["utilization"] = figures.utilization;
  json["fairness_p50"] = figures.fairness_p50;
  json["fairness_p99"] = figures.fairness_p99;
  json["decision_ms_p50"] = figures.decision_ms_p50;
  json["decision_ms_p99"] = figures.decision_ms_p99;
  json["per_job"] = nlohmann::ordered_json::array();
  for (const ReplayedJob& job : replay.jobs) {
    json["per_job"].push_back({{"workload", job.workload},
                               {"name", job.name},
                               {"jct_seconds", job.jct_seconds},
                               {"restarts", job.restarts}});
  }
  return json;
}

std::string TableOf(const std::vector<NamedFigures>& policies) {
  char line[256];
  std::snprintf(line, sizeof line, "%-10s %6s %8s %8s %8s %9s %6s %9s %9s %10s\n", "POLICY", "JOBS",
                "AVG", "P50", "P99", "MAKESPAN", "USED", "FAIR-P50", "FAIR-P99", "DECIDE-P99");
  std::string table = line;
  for (const auto& [policy, f] : policies) {
    std::snprintf(
        line, sizeof line, "%-10s %6zu %7.3fh %7.3fh %7.2fh %8.2fh %5.1f%% %9.2f %9.2f %8.3fms\n",
        policy.c_str(), f.jobs, f.avg_jct_hours, f.p50_jct_hours, f.p99_jct_hours, f.makespan_hours,
        100 * f.utilization, f.fairness_p50, f.fairness_p99, f.decision_ms_p99);
    table += line;
  }
  return table;
}

}  // namespace tutti::simulate
