#include "worker/agent/gang_fences.h"

#include <utility>

namespace tutti::agent {

void GangFences::Begin(PmixFence fence) {
  const std::uint32_t sequence = ++last_sequence_;
  Waiting& waiting = waiting_[sequence];
  waiting.fence = std::move(fence);
  SendOne(sequence, waiting);
}

void GangFences::SendOne(std::uint32_t sequence, Waiting& waiting) {
  wire::Fence message;
  message.set_job(job_);
  message.set_attempt(attempt_);
  message.set_sequence(sequence);
  message.set_data(waiting.fence.data);
  waiting.sent = MonotonicNow();
  send_(message);
}

void GangFences::Finish(const wire::FenceDone& done) {
  if (done.attempt() != attempt_) return;
  const auto waiting = waiting_.extract(done.sequence());
  if (waiting) waiting.mapped().fence.answer(done.data());
}

void GangFences::Tick(Instant now) {
  for (auto& [sequence, waiting] : waiting_) {
    if (now - waiting.sent >= kRepeat) SendOne(sequence, waiting);
  }
}

void GangFences::Abandon() {
  for (auto& [sequence, waiting] : std::exchange(waiting_, {})) {
    waiting.fence.answer(std::nullopt);
  }
}

}  // namespace tutti::agent
