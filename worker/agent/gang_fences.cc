#include "worker/agent/gang_fences.h"

namespace tutti::agent {

void GangFences::Begin(PmixFence fence) {
  const auto sequence = static_cast<std::uint32_t>(met_.size()) + 1;
  Met& met = met_[sequence];
  met.data = std::move(fence.data);
  met.answer = std::move(fence.answer);
  SendOne(sequence, met);
}

void GangFences::SendOne(std::uint32_t sequence, Met& met) {
  wire::Fence message;
  message.set_job(job_);
  message.set_attempt(attempt_);
  message.set_sequence(sequence);
  message.set_data(met.data);
  met.sent = MonotonicNow();
  send_(message);
}

void GangFences::Finish(const wire::FenceDone& done) {
  const auto met = met_.find(done.sequence());
  if (met == met_.end()) return;
  if (const auto answer = std::exchange(met->second.answer, nullptr)) answer(done.data());
}

void GangFences::Tick(Instant now) {
  for (auto& [sequence, met] : met_) {
    if (met.answer && now - met.sent >= kRepeat) SendOne(sequence, met);
  }
}

void GangFences::SendAll() {
  for (auto& [sequence, met] : met_) SendOne(sequence, met);
}

void GangFences::Abandon() {
  for (auto& [sequence, met] : met_) {
    if (const auto answer = std::exchange(met.answer, nullptr)) answer(std::nullopt);
  }
}

}  // namespace tutti::agent
