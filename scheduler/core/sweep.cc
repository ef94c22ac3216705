#include "scheduler/core/sweep.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include "common/base/check.h"
#include "scheduler/core/decision.h"

namespace tutti::core {
namespace {

using internal::Concat;

constexpr std::size_t kRungsMax = 5;

struct RungEntry {
  const Job* job = nullptr;
  double value = 0;
};

bool Better(const RungEntry& a, const RungEntry& b) {
  const bool maximize = a.job->request.trial.maximize;
  if (a.value != b.value) return maximize ? a.value > b.value : a.value < b.value;
  return a.job->sequence < b.job->sequence;
}

// Calls `visit(entry)` for each trial of the sweep that reached the rung.
template <typename Visit>
void EachAt(const Ledger& ledger, const std::string& sweep, std::size_t rung, Visit visit) {
  const auto trials = ledger.trials.find(sweep);
  if (trials == ledger.trials.end()) return;
  for (const JobId id : trials->second) {
    const Job& job = ledger.jobs.at(id);
    if (job.rungs.size() > rung) visit(RungEntry{&job, job.rungs[rung]});
  }
}

// A trial may still come to the rung.
bool MayReach(const Job& job, std::size_t rung) {
  return !IsFinished(job) && job.rungs.size() <= rung;
}

// What of the sweep waits at `rung`: those within the quota go on; when no one else can come there
// any more, at least the best one does, and the others are out.
void TendRung(Decision& decision, const std::string& sweep, std::size_t rung) {
  const Ledger& ledger = decision.state.ledger;
  std::vector<RungEntry> entries;  // the best first
  EachAt(ledger, sweep, rung, [&](const RungEntry& entry) { entries.push_back(entry); });
  std::sort(entries.begin(), entries.end(), Better);
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

Standing StandingAt(const Ledger& ledger, const Job& job, std::size_t rung, double value) {
  Standing standing;
  EachAt(ledger, job.request.trial.sweep, rung, [&](const RungEntry& other) {
    if (other.job->id == job.id) return;
    ++standing.others;
    if (Better(other, {&job, value})) ++standing.better;
  });
  return standing;
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
  const Standing own = StandingAt(decision.state.ledger, *job, rungs - 1, value);
  if (own.better < (own.others + 1) / kRungReduction) return {};
  RequestStop(decision, *job, StopWhy::kRung);
  return {};
}

void TendSweeps(Decision& decision) {
  // What this Step has decided already is not in the ledger yet.
  if (!decision.out.facts.empty()) return;
  const Ledger& ledger = decision.state.ledger;
  for (const auto& [sweep, waiting] : ledger.at_rung) {
    // How many rungs those have reached that wait, the most first.
    std::set<std::size_t, std::greater<>> reached;
    for (const JobId id : waiting) reached.insert(ledger.jobs.at(id).rungs.size());
    for (const std::size_t rungs : reached) {
      if (rungs > 0) TendRung(decision, sweep, rungs - 1);
    }
  }
}

}  // namespace tutti::core
