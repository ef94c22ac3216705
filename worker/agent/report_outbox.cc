#include "worker/agent/report_outbox.h"

namespace tutti::agent {
namespace {

constexpr Duration kUnsentAgain = std::chrono::milliseconds(100);

}  // namespace

void ReportOutbox::Add(wire::GangReport report, Instant now) {
  const std::uint64_t id = ++last_id_;
  report.set_report_id(id);
  Waiting& waiting = waiting_[id];
  waiting.report = std::move(report);
  Transmit(waiting, now);
}

void ReportOutbox::Transmit(Waiting& waiting, Instant now) {
  waiting.next = now + (send_(waiting.report) ? kAgain : kUnsentAgain);
}

void ReportOutbox::Tick(Instant now) {
  for (auto& [id, waiting] : waiting_) {
    if (now >= waiting.next) Transmit(waiting, now);
  }
}

void ReportOutbox::SendAll(Instant now) {
  for (auto& [id, waiting] : waiting_) Transmit(waiting, now);
}

}  // namespace tutti::agent
