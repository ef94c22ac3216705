#include "scheduler/simulate/machine_reports.h"

namespace tutti::simulate {
namespace {

template <typename Report>
Report OfRankZero(const core::Job& job, std::uint64_t step) {
  const core::Gang& gang = *core::ActiveGang(job);
  Report report;
  report.node = gang.members.front().node;
  report.job = job.id;
  report.attempt = gang.attempt;
  report.step = step;
  return report;
}

}  // namespace

core::ReportCheckpoint CheckpointOf(const core::Job& job, std::uint64_t step) {
  return OfRankZero<core::ReportCheckpoint>(job, step);
}

core::ReportEnded EndOf(const core::Job& job, core::GangOutcome outcome, std::uint64_t step) {
  auto report = OfRankZero<core::ReportEnded>(job, step);
  report.outcome = outcome;
  return report;
}

core::WorkerSeen SeenAsIs(const core::Ledger& ledger, const core::Node& node,
                          std::uint64_t session) {
  core::WorkerSeen seen;
  seen.node = node.id;
  seen.session = session;
  for (const JobId job : node.gangs) {
    seen.gangs.push_back({job, ledger.jobs.at(job).attempt, false, {}});
  }
  return seen;
}

}  // namespace tutti::simulate
