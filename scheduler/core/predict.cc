#include "scheduler/core/predict.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "scheduler/core/place.h"

namespace tutti::core {
namespace {

constexpr std::size_t kAheadMax = 1000;

// The queue placed one after another, while gangs leave in the order of their ends.
class Forecast {
 public:
  Forecast(const State& state, const Ends& ends)
      : ledger_(state.ledger), plan_(state.ledger, state.liveness) {
    for (const auto& [job, in] : ends) {
      if (ledger_.active.contains(job)) ends_.emplace_back(std::max(in, Duration{}), job);
    }
    std::ranges::sort(ends_);
  }

  // When `job` starts, which is next in the queue; nullopt when that is not known.
  std::optional<Duration> Place(const Job& job) {
    while (!stuck_) {
      const auto fit = Fit(job, plan_);
      if (const auto* placement = std::get_if<Placement>(&fit)) {
        plan_.Book(placement->members, job);
        return at_;
      }
      if (!std::get<NoFit>(fit).blocks) return std::nullopt;
      stuck_ = !EndOne();
    }
    return std::nullopt;  // those behind it wait for it
  }

 private:
  bool EndOne() {
    if (next_ == ends_.size()) return false;
    const auto& [in, id] = ends_[next_++];
    plan_.Release(ledger_.jobs.at(id));
    at_ = std::max(at_, in);
    return true;
  }

  const Ledger& ledger_;
  Plan plan_;
  std::vector<std::pair<Duration, JobId>> ends_;  // the first to end first
  std::size_t next_ = 0;
  Duration at_{};
  bool stuck_ = false;
};

}  // namespace

std::map<JobId, Duration> PredictStarts(const State& state, const Ends& ends, std::size_t limit) {
  std::map<JobId, Duration> starts;
  if (state.liveness.draining) return starts;
  Forecast forecast(state, ends);
  const Policy& policy = PolicyOf(state.ledger, state.policy);
  for (const Job* job : FirstInOrder(state.ledger, policy, limit)) {
    if (const auto start = forecast.Place(*job)) starts.emplace(job->id, *start);
  }
  return starts;
}

std::optional<Duration> PredictStart(const State& state, const Ends& ends, const Job& submitted) {
  if (state.liveness.draining) return std::nullopt;
  Forecast forecast(state, ends);
  const Policy& policy = PolicyOf(state.ledger, state.policy);
  for (const Job* job : FirstInOrder(state.ledger, policy, kAheadMax)) {
    if (job->request.priority < submitted.request.priority) break;
    forecast.Place(*job);
  }
  return forecast.Place(submitted);
}

}  // namespace tutti::core
