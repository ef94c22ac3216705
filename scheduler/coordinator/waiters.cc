#include "scheduler/coordinator/waiters.h"

#include <utility>

namespace tutti::coordinator {
namespace {

// The job that a fact finishes.
struct FinishedJob {
  std::optional<JobId> operator()(const core::JobRejected& f) const { return f.job; }
  std::optional<JobId> operator()(const core::JobSucceeded& f) const { return f.job; }
  std::optional<JobId> operator()(const core::JobFailed& f) const { return f.job; }
  std::optional<JobId> operator()(const core::JobCancelled& f) const { return f.job; }
  template <typename Other>
  std::optional<JobId> operator()(const Other&) const {
    return std::nullopt;
  }
};

}  // namespace

void Waiters::Add(JobId job, Instant deadline, std::function<void()> answer) {
  waiters_.emplace(job, Waiter{deadline, std::move(answer)});
}

void Waiters::OnStored(const Stored& stored) {
  if (waiters_.empty()) return;
  for (const core::Fact& fact : stored.facts) {
    const auto job = std::visit(FinishedJob{}, fact);
    if (!job) continue;
    const auto [first, last] = waiters_.equal_range(*job);
    for (auto it = first; it != last; ++it) it->second.answer();
    waiters_.erase(first, last);
  }
}

void Waiters::Tick(Instant now) {
  for (auto it = waiters_.begin(); it != waiters_.end();) {
    if (now < it->second.deadline) {
      ++it;
      continue;
    }
    it->second.answer();
    it = waiters_.erase(it);
  }
}

void Waiters::Release() {
  for (auto& [job, waiter] : waiters_) waiter.answer();
  waiters_.clear();
}

}  // namespace tutti::coordinator
