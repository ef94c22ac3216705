#include "scheduler/coordinator/calibration.h"

#include <algorithm>
#include <optional>
#include <variant>

#include "scheduler/core/throughput.h"

namespace tutti::coordinator {
namespace {

constexpr std::size_t kStartsMax = 10'000;    // of which a prediction is kept
constexpr std::size_t kPredictedAhead = 100;  // so far down the queue a start is predicted
// Below it the rounds of the loop decide, not the prediction.
constexpr Duration kShortest = std::chrono::seconds(1);

constexpr std::string_view kStart = "start", kEnd = "end";
constexpr std::string_view kInside = "inside", kEarly = "early", kLate = "late";

double Seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

Calibration::Calibration(metrics::ControlMetrics& metrics) : metrics_(metrics) {
  for (const std::string_view what : {kStart, kEnd}) {
    for (const auto outcome : {kInside, kEarly, kLate}) metrics_.ExpectPredicted(what, outcome);
  }
}

// What a fact says of starts and ends.
struct Calibration::Reader {
  Calibration& self;
  const core::State& state;
  const Instant now;
  std::vector<JobId>& admitted;

  void operator()(const core::JobAdmitted& f) const { admitted.push_back(f.job); }
  void operator()(const core::GangPlaced& f) const {
    self.CameTrue(self.starts_, f.job, kStart, now);
  }
  void operator()(const core::GangStarted& f) const {
    const core::Job* job = core::FindJob(state.ledger, f.job);
    if (job == nullptr || core::ActiveGang(*job) == nullptr) return;
    if (const auto end = core::PredictEnd(*job, state, now)) self.ends_[f.job] = {now, *end};
  }
  void operator()(const core::JobSucceeded& f) const {
    self.CameTrue(self.ends_, f.job, kEnd, now);
  }
  // What ended otherwise, or may not start any more, was not predicted.
  void operator()(const core::GangReleased& f) const { self.Forget(f.job); }
  void operator()(const core::AttemptFailed& f) const { self.Forget(f.job); }
  void operator()(const core::JobFailed& f) const { self.Forget(f.job); }
  void operator()(const core::JobCancelled& f) const { self.Forget(f.job); }
  void operator()(const core::JobPaused& f) const { self.Forget(f.job); }
  template <typename Other>
  void operator()(const Other&) const {}
};

void Calibration::OnStored(std::span<const core::Fact> facts, const core::State& state,
                           Instant now) {
  std::vector<JobId> admitted;
  const Reader reader{*this, state, now, admitted};
  for (const core::Fact& fact : facts) std::visit(reader, fact);
  if (!admitted.empty() && starts_.size() < kStartsMax) PredictStartsOf(admitted, state, now);
}

// Costs a forecast of all gangs only where one of them is near enough to the queue's head.
void Calibration::PredictStartsOf(const std::vector<JobId>& admitted, const core::State& state,
                                  Instant now) {
  const auto near = core::FirstInQueue(state, kPredictedAhead);
  const bool any = std::any_of(near.begin(), near.end(), [&](const core::Job* job) {
    return std::find(admitted.begin(), admitted.end(), job->id) != admitted.end();
  });
  if (!any) return;
  const auto starts = core::PredictStarts(state, core::PredictEnds(state, now), kPredictedAhead);
  for (const JobId job : admitted) {
    const auto start = starts.find(job);
    if (start != starts.end()) starts_[job] = {now, start->second};
  }
}

void Calibration::CameTrue(Predictions& predictions, JobId job, std::string_view what,
                           Instant now) {
  const auto found = predictions.find(job);
  if (found == predictions.end()) return;
  const auto [made, span] = found->second;
  predictions.erase(found);
  if (span.high < kShortest) return;
  const Duration took = now - made;
  metrics_.Predicted(what, Seconds(took) / Seconds(std::max(span.value, kShortest)),
                     took < span.low    ? kEarly
                     : took > span.high ? kLate
                                        : kInside);
}

void Calibration::Forget(JobId job) {
  starts_.erase(job);
  ends_.erase(job);
}

}  // namespace tutti::coordinator
