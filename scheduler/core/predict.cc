#include "scheduler/core/predict.h"

#include <algorithm>
#include <functional>
#include <queue>

#include "scheduler/core/limits.h"
#include "scheduler/core/place.h"
#include "scheduler/core/throughput.h"

namespace tutti::core {
namespace {

constexpr std::size_t kAheadMax = 1000;

using Bound = Duration Span::*;  // which end of each interval is believed

// The queue placed one after another, while gangs leave in the order of their ends.
class Forecast {
 public:
  Forecast(const State& state, const Ends& ends, Bound bound)
      : ledger_(state.ledger),
        learned_(LearnedNow(state)),
        bound_(bound),
        plan_(state.ledger, state.liveness),
        held_(state.ledger) {
    for (const auto& [id, in] : ends) {
      if (!ledger_.active.contains(id)) continue;
      ends_.push({std::max(in.*bound, Duration{}), ++pushed_, &ledger_.jobs.at(id), {}});
    }
  }

  // When `job` starts, which is next in the queue; nullopt when that is not known.
  std::optional<Duration> Place(const Job& job) {
    if (stuck_) return std::nullopt;  // those behind it wait for it
    const Amount allowed = held_.Allows(job);
    if (!Covers(allowed, SmallestOf(job))) return std::nullopt;
    std::optional<bool> fits_when_empty;  // whoever leaves: asked once
    for (;;) {
      if (const auto placement = TryFit(job, plan_, allowed)) {
        Start(job, *placement);
        return at_;
      }
      // As Blocks says.
      if (LacksDiskOnly(job, plan_, allowed)) return std::nullopt;
      if (!fits_when_empty) fits_when_empty = FitsWhenEmpty(job, ledger_);
      if (!*fits_when_empty) return std::nullopt;
      if (EndOne()) continue;
      stuck_ = true;
      return std::nullopt;
    }
  }

 private:
  struct End {
    Duration in{};
    std::uint64_t order = 0;
    const Job* job = nullptr;
    std::vector<GangMember> members;  // of one that was started here
    bool operator>(const End& other) const {
      return in != other.in ? in > other.in : order > other.order;
    }
  };

  void Start(const Job& job, const Placement& placement) {
    plan_.Book(placement.members, job);
    held_.Add(job, placement.size);
    if (const auto run = PredictRun(job, learned_, placement.size)) {
      ends_.push({at_ + (*run).*bound_, ++pushed_, &job, placement.members});
    }
  }

  bool EndOne() {
    if (ends_.empty()) return false;
    const End end = ends_.top();
    ends_.pop();
    if (end.members.empty()) {
      plan_.Release(*end.job);
    } else {
      plan_.Return(end.members, *end.job);
    }
    at_ = std::max(at_, end.in);
    return true;
  }

  const Ledger& ledger_;
  const Learned learned_;
  const Bound bound_;
  Plan plan_;
  Held held_;
  std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
  std::uint64_t pushed_ = 0;
  Duration at_{};
  bool stuck_ = false;
};

constexpr Bound kBounds[] = {&Span::value, &Span::low, &Span::high};

// Who starts before whom may differ between the bounds.
void Widen(Span& span) {
  span.low = std::min(span.low, span.value);
  span.high = std::max(span.high, span.value);
}

}  // namespace

std::map<JobId, Span> PredictStarts(const State& state, const Ends& ends, std::size_t limit) {
  std::map<JobId, Span> starts;
  if (state.liveness.draining) return starts;
  const std::vector<const Job*> order = FirstInQueue(state, limit);
  for (const Bound bound : kBounds) {
    Forecast forecast(state, ends, bound);
    for (const Job* job : order) {
      const auto start = forecast.Place(*job);
      // Not known by one bound: not known.
      if (start && bound == &Span::value) starts[job->id] = {*start, *start, *start};
      const auto known = starts.find(job->id);
      if (known == starts.end()) continue;
      if (start) {
        known->second.*bound = *start;
      } else {
        starts.erase(known);
      }
    }
  }
  for (auto& [id, span] : starts) Widen(span);
  return starts;
}

std::optional<Span> PredictStart(const State& state, const Ends& ends, const Job& submitted) {
  if (state.liveness.draining) return std::nullopt;
  const std::vector<const Job*> order = FirstInQueue(state, kAheadMax);
  Span span;
  for (const Bound bound : kBounds) {
    Forecast forecast(state, ends, bound);
    for (const Job* job : order) {
      if (job->request.priority < submitted.request.priority) break;
      forecast.Place(*job);
    }
    const auto start = forecast.Place(submitted);
    if (!start) return std::nullopt;
    span.*bound = *start;
  }
  Widen(span);
  return span;
}

}  // namespace tutti::core
