#include "scheduler/coordinator/job_view.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "scheduler/core/place.h"
#include "scheduler/core/throughput.h"

namespace tutti::coordinator {
namespace {

constexpr std::size_t kExplained = 1000;  // queued jobs whose reason is worked out
constexpr Duration kOutlookHolds = std::chrono::seconds(1);
constexpr std::size_t kScannedMax = 5000;  // jobs looked at for one page
constexpr std::size_t kArchivePage = 200;
constexpr std::int64_t kRecentMs = 3600 * 1000;

Error NoJob(std::string_view text) {
  return {ErrorCode::kNotFound,
          "there is no job '" + std::string(text) + "'",
          {},
          "'tutti ps --all' shows those there are"};
}

Expected ExpectedIn(const core::Span& span) {
  const WallTime now = WallNow();
  const auto after = [&](Duration in) {
    in = std::max(in, Duration{});
    return WallTime{now.unix_ms +
                    std::chrono::duration_cast<std::chrono::milliseconds>(in).count()};
  };
  return {after(span.value), after(span.low), after(span.high)};
}

JobReader::Outlook OutlookFrom(const core::Span& start, const core::Job& job,
                               const core::Learned& learned) {
  JobReader::Outlook out{.start = ExpectedIn(start), .end = {}};
  if (const auto run = core::PredictRun(job, learned, core::SizesOf(job).min)) {
    out.end = ExpectedIn(core::Sum(start, *run));
  }
  return out;
}

bool HasText(std::string_view where, std::string_view what) {
  const auto same = [](unsigned char a, unsigned char b) {
    return std::tolower(a) == std::tolower(b);
  };
  return std::search(where.begin(), where.end(), what.begin(), what.end(), same) != where.end();
}

bool Wanted(const View& view, const core::Job& job, const JobFilter& filter, WallTime now) {
  if (!filter.name.empty() && job.request.name != filter.name) return false;
  if (!filter.text.empty() && !HasText(job.request.name, filter.text) &&
      !HasText(job.request.user, filter.text) && !HasText(job.id.ToString(), filter.text)) {
    return false;
  }
  if (!filter.states.empty()) {
    const spec::JobState state = core::StateOf(view.state->ledger, job);
    if (std::find(filter.states.begin(), filter.states.end(), state) == filter.states.end()) {
      return false;
    }
  }
  if (filter.all || !core::IsFinished(job)) return true;
  return job.finished_at && now.unix_ms - job.finished_at->unix_ms < kRecentMs;
}

// Jobs of ledger and archive as one list, newest first.
class NewestFirst {
 public:
  NewestFirst(const View& view, std::uint64_t before, bool archive)
      : view_(view), archive_before_(before), archive_more_(archive) {
    const auto& order = view.state->ledger.by_sequence;
    next_ = order.rbegin();
    if (before != 0) {
      next_ = std::make_reverse_iterator(order.lower_bound(before));
    }
  }

  // nullptr at the end; the job lives until the next call.
  Result<const core::Job*> Next() {
    if (page_.empty() && archive_more_) TUTTI_RETURN_IF_ERROR(ReadPage());
    const core::Ledger& ledger = view_.state->ledger;
    const bool in_ledger = next_ != ledger.by_sequence.rend();
    if (!in_ledger && page_.empty()) return nullptr;
    if (!in_ledger || (!page_.empty() && page_.back().sequence > next_->first)) {
      current_ = std::move(page_.back());
      page_.pop_back();
      return &current_;
    }
    return &ledger.jobs.at((next_++)->second);
  }

 private:
  Status ReadPage() {
    TUTTI_ASSIGN_OR_RETURN(page_, view_.store->ListArchived(archive_before_, kArchivePage));
    archive_more_ = page_.size() == kArchivePage;
    if (!page_.empty()) archive_before_ = page_.back().sequence;
    std::reverse(page_.begin(), page_.end());
    return {};
  }

  const View& view_;
  std::map<std::uint64_t, JobId>::const_reverse_iterator next_;
  std::uint64_t archive_before_;
  bool archive_more_;
  std::vector<core::Job> page_;  // oldest first
  core::Job current_;
};

}  // namespace

const core::Pending* JobReader::PendingOf(const View& view, const core::Job& job) {
  if (!std::holds_alternative<core::Queued>(job.phase) || !core::MayStart(job)) return nullptr;
  const core::State& state = *view.state;
  const Instant now = MonotonicNow();
  if (pending_at_ != state.ledger.facts_applied || pending_draining_ != state.liveness.draining ||
      now >= pending_until_) {
    pending_until_ = now + kOutlookHolds;
    pending_ = core::ExplainQueue(state, kExplained);
    pending_at_ = state.ledger.facts_applied;
    pending_draining_ = state.liveness.draining;
  }
  const auto found = pending_.find(job.id);
  return found == pending_.end() ? nullptr : &found->second;
}

std::optional<core::Span> JobReader::StartOfQueued(const View& view, JobId job) {
  const core::State& state = *view.state;
  const Instant monotonic = MonotonicNow();
  if (starts_at_facts_ != state.ledger.facts_applied || monotonic >= starts_until_) {
    starts_ = core::PredictStarts(state, core::PredictEnds(state, monotonic), kExplained);
    starts_from_ = monotonic;
    starts_at_facts_ = state.ledger.facts_applied;
    starts_until_ = monotonic + kOutlookHolds;
  }
  const auto found = starts_.find(job);
  if (found == starts_.end()) return std::nullopt;
  return core::Sum(found->second, core::Exactly(starts_from_ - monotonic));
}

JobReader::Outlook JobReader::OutlookOf(const core::State& state, const core::Job& submitted) {
  const Instant now = MonotonicNow();
  const auto start = core::PredictStart(state, core::PredictEnds(state, now), submitted);
  return start ? OutlookFrom(*start, submitted, core::LearnedNow(state)) : Outlook{};
}

JobView JobReader::ViewOf(const View& view, const core::Job& job) {
  JobView out;
  out.job = job;
  out.job.spec_json.clear();
  const core::Pending* pending = PendingOf(view, job);
  out.shown = core::Show(*view.state, job, pending);
  if (pending != nullptr) {
    out.pending = *pending;
    if (const auto start = StartOfQueued(view, job.id)) {
      const Outlook outlook = OutlookFrom(*start, job, core::LearnedNow(*view.state));
      out.start = outlook.start;
      out.end = outlook.end;
    }
  } else if (core::ActiveGang(job) != nullptr &&
             !std::holds_alternative<core::Stopping>(job.phase)) {
    if (const auto end = core::PredictEnd(job, *view.state, MonotonicNow())) {
      out.end = ExpectedIn(*end);
    }
  }
  for (const core::AttemptRecord& attempt : job.attempts) {
    for (const NodeId id : attempt.nodes) {
      const core::Node* node = core::FindNode(view.state->ledger, id);
      out.node_names.emplace(id, node == nullptr ? id.ToString() : node->name);
    }
  }
  if (const JobProgress* progress = progress_.Of(job.id)) out.progress = *progress;
  out.stalled = HealthOf(*view.state, job).stalled;
  if (const Straggler* straggler = gangs_.StragglerOf(job.id)) out.straggler = *straggler;
  out.now = WallNow();
  return out;
}

Result<core::Job> JobReader::FindJob(const View& view, std::string_view text) {
  if (const core::Job* job = core::FindJobByText(view.state->ledger, text)) return *job;
  auto archived = view.store->FindArchived(text);
  if (!archived && archived.error().code == ErrorCode::kNotFound) return Fail(NoJob(text));
  return archived;
}

Result<JobView> JobReader::Find(const View& view, std::string_view text) {
  if (const core::Job* job = core::FindJobByText(view.state->ledger, text)) {
    JobView out = ViewOf(view, *job);
    out.helps = core::WhatHelps(*view.state, *job);
    return out;
  }
  TUTTI_ASSIGN_OR_RETURN(const core::Job job, FindJob(view, text));
  return ViewOf(view, job);
}

Result<JobPage> JobReader::List(const View& view, const JobFilter& filter) {
  JobPage page;
  const WallTime now = WallNow();
  NewestFirst jobs(view, filter.before, filter.all);
  std::uint64_t last = 0;
  for (std::size_t scanned = 0;; ++scanned) {
    if (page.jobs.size() == filter.limit || scanned == kScannedMax) {
      page.next = last;
      break;
    }
    TUTTI_ASSIGN_OR_RETURN(const core::Job* job, jobs.Next());
    if (job == nullptr) break;
    last = job->sequence;
    if (Wanted(view, *job, filter, now)) page.jobs.push_back(ViewOf(view, *job));
  }
  return page;
}

}  // namespace tutti::coordinator
