#include "scheduler/coordinator/job_news.h"

#include <variant>

namespace tutti::coordinator {
namespace {

using spec::JobState;

JobState StateWhile(core::StopWhy why) {
  switch (why) {
    case core::StopWhy::kCancel:
    case core::StopWhy::kTimeout:
      return JobState::kCancelling;
    case core::StopWhy::kResize:
      return JobState::kResizing;
    case core::StopWhy::kPause:
    case core::StopWhy::kPreempt:
    case core::StopWhy::kDrain:
    case core::StopWhy::kRung:
      return JobState::kPreempting;
  }
  return JobState::kPreempting;
}

struct NewsTeller {
  std::optional<JobNews> news = {};

  template <typename Fact>
  JobNews& Say(const Fact& fact, JobState state) {
    news = JobNews{.job = fact.job, .at = fact.at, .state = state};
    if constexpr (requires { fact.attempt; }) news->attempt = fact.attempt;
    return *news;
  }

  void operator()(const core::JobSubmitted& f) { Say(f, JobState::kValidating); }
  void operator()(const core::JobAdmitted& f) { Say(f, JobState::kQueued); }
  void operator()(const core::JobRejected& f) {
    JobNews& said = Say(f, JobState::kFailed);
    said.reason = spec::ToString(f.reason);
    said.message = f.where.empty() ? f.message : f.where + ": " + f.message;
  }
  void operator()(const core::GangPlaced& f) { Say(f, JobState::kStarting); }
  void operator()(const core::GangStarted& f) { Say(f, JobState::kRunning); }
  void operator()(const core::StopRequested& f) {
    Say(f, StateWhile(f.why)).reason = core::ToString(f.why);
  }
  void operator()(const core::GangReleased& f) {
    Say(f, JobState::kQueued).reason = core::ToString(f.why);
  }
  void operator()(const core::AttemptFailed& f) {
    JobNews& said = Say(f, JobState::kRecovering);
    said.reason = spec::ToString(f.reason);
    said.message = f.message;
  }
  void operator()(const core::JobSucceeded& f) {
    Say(f, JobState::kSucceeded).metrics_json = f.metrics_json;
  }
  void operator()(const core::JobFailed& f) {
    JobNews& said = Say(f, JobState::kFailed);
    said.reason = spec::ToString(f.reason);
    said.message = f.message;
  }
  void operator()(const core::JobCancelled& f) { Say(f, JobState::kCancelled).message = f.message; }
  void operator()(const core::JobPaused& f) { Say(f, JobState::kPaused); }
  void operator()(const core::JobResumed& f) { Say(f, JobState::kQueued); }
  void operator()(const core::CheckpointCommitted&) {}
  void operator()(const core::JobResized&) {}
  void operator()(const core::HoldReleased&) {}
  void operator()(const core::JobPriorityChanged&) {}
  void operator()(const core::OtherNumericsAllowed&) {}
  void operator()(const core::RungReached&) {}
  void operator()(const core::JobArchived&) {}
  void operator()(const core::NodeRegistered&) {}
  void operator()(const core::NodeLost&) {}
  void operator()(const core::NodeLeft&) {}
  void operator()(const core::NodeDrained&) {}
  void operator()(const core::CoordinatorStarted&) {}
  void operator()(const core::QueueSet&) {}
  void operator()(const core::PolicySet&) {}
  void operator()(const core::UsageCharged&) {}
};

std::optional<JobNews> NewsOfOne(const core::Fact& fact) {
  NewsTeller teller;
  std::visit(teller, fact);
  return std::move(teller.news);
}

}  // namespace

std::optional<JobNews> NewsOf(std::span<const core::Fact> facts) {
  std::optional<JobNews> news = NewsOfOne(facts.front());
  const bool passes = std::holds_alternative<core::AttemptFailed>(facts.front()) ||
                      std::holds_alternative<core::GangReleased>(facts.front());
  if (!news || !passes || facts.size() < 2) return news;
  const std::optional<JobNews> next = NewsOfOne(facts[1]);
  // A gang that is placed again at once was queued in between.
  const bool stays = next && next->job == news->job && next->state != JobState::kStarting;
  return stays ? std::nullopt : news;
}

}  // namespace tutti::coordinator
