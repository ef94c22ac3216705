#include "scheduler/core/sweep.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/base/check.h"
#include "scheduler/core/decision.h"

namespace tutti::core {
namespace {

using internal::Concat;

constexpr std::size_t kRungsMax = 5;

bool Better(const RungEntry& a, const RungEntry& b) {
  const bool maximize = a.job->request.trial.maximize;
  if (a.value != b.value) return maximize ? a.value > b.value : a.value < b.value;
  return a.job->sequence < b.job->sequence;
}

// A trial may still come to the rung.
bool MayReach(const Job& job, std::size_t rung) {
  return !IsFinished(job) && job.rungs.size() <= rung;
}

// What of the sweep waits at `rung`: those within the quota go on; when no one else can come there
// any more, at least the best one does, and the others are out.
void TendRung(Decision& decision, const std::string& sweep, std::size_t rung) {
  const Ledger& ledger = decision.state.ledger;
  const std::vector<RungEntry> entries = RungOf(ledger, sweep, rung);
  const bool settled = std::ranges::none_of(
      ledger.trials.at(sweep), [&](JobId id) { return MayReach(ledger.jobs.at(id), rung); });
  std::size_t quota = entries.size() / kRungReduction;
  if (settled) quota = std::max<std::size_t>(quota, 1);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Job& job = *entries[i].job;
    if (!IsAtRung(job) || job.rungs.size() != rung + 1) continue;
    if (i < quota) {
      decision.Say(JobResumed{job.id, job.ranks_override, decision.at});
    } else if (settled) {
      decision.Say(JobCancelled{
          job.id, decision.at,
          Concat("stopped by its sweep: ", job.request.trial.metric, " ", entries[i].value,
                 " is place ", i + 1, " of ", entries.size(), " at rung ", rung + 1)});
    }
  }
}

}  // namespace

std::vector<std::uint64_t> RungSteps(const Job& job) {
  const Trial& trial = job.request.trial;
  if (trial.method != "asha" || trial.of < 2 || !job.estimate) return {};
  std::size_t rungs = 1;
  for (std::uint64_t trials = trial.of / kRungReduction;
       trials >= kRungReduction && rungs < kRungsMax; trials /= kRungReduction) {
    ++rungs;
  }
  std::vector<std::uint64_t> steps(rungs);
  std::uint64_t at = job.estimate->total_steps;
  for (std::size_t i = rungs; i-- > 0;) {
    at /= kRungReduction;
    steps[i] = std::max<std::uint64_t>(at, 1);
  }
  return steps;
}

std::vector<RungEntry> RungOf(const Ledger& ledger, const std::string& sweep, std::size_t rung) {
  std::vector<RungEntry> entries;
  const auto trials = ledger.trials.find(sweep);
  if (trials == ledger.trials.end()) return entries;
  for (const JobId id : trials->second) {
    const Job& job = ledger.jobs.at(id);
    if (job.rungs.size() > rung) entries.push_back({&job, job.rungs[rung]});
  }
  std::sort(entries.begin(), entries.end(), Better);
  return entries;
}

Status Decide(Decision& decision, const ReportEval& input) {
  const Job* job = FindJob(decision.state.ledger, input.job);
  if (job == nullptr || job->attempt != input.attempt ||
      !std::holds_alternative<Running>(job->phase)) {
    return {};
  }
  const bool maximize = job->request.trial.maximize;
  constexpr double kWorst = std::numeric_limits<double>::max();
  const double value = std::isfinite(input.value) ? input.value : maximize ? -kWorst : kWorst;
  const std::vector<std::uint64_t> steps = RungSteps(*job);
  std::size_t rungs = job->rungs.size();
  while (rungs < steps.size() && input.step >= steps[rungs]) {
    decision.Say(RungReached{job->id, job->attempt, static_cast<std::uint32_t>(rungs), input.step,
                             value, decision.at});
    ++rungs;
  }
  if (rungs == job->rungs.size() || input.step >= job->estimate->total_steps) return {};
  std::vector<RungEntry> entries =
      RungOf(decision.state.ledger, job->request.trial.sweep, rungs - 1);
  const RungEntry own{job, value};
  const auto better = static_cast<std::size_t>(
      std::ranges::count_if(entries, [&](const RungEntry& other) { return Better(other, own); }));
  if (better < (entries.size() + 1) / kRungReduction) return {};
  RequestStop(decision, *job, StopWhy::kRung);
  return {};
}

void TendSweeps(Decision& decision) {
  // What this Step has decided already is not in the ledger yet.
  if (!decision.out.facts.empty()) return;
  const Ledger& ledger = decision.state.ledger;
  for (const auto& [sweep, waiting] : ledger.at_rung) {
    std::size_t rungs = 0;
    for (const JobId id : waiting) rungs = std::max(rungs, ledger.jobs.at(id).rungs.size());
    for (std::size_t rung = rungs; rung-- > 0;) TendRung(decision, sweep, rung);
  }
}

}  // namespace tutti::core
