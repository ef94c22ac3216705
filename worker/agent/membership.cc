#include "worker/agent/membership.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/wire/protocol.h"

namespace tutti::agent {
namespace {

constexpr Duration kRegisterAgain = std::chrono::seconds(1);  // it was sent, no answer came
constexpr Duration kIntervalMin = std::chrono::milliseconds(20);
constexpr Duration kLeaseMin = std::chrono::milliseconds(100);

Duration Milliseconds(std::uint32_t count) { return std::chrono::milliseconds(count); }

}  // namespace

Membership::Membership(Options options, Instant now)
    : options_(std::move(options)),
      next_register_(now),
      next_beat_(now),
      lease_from_(now),
      interval_(Milliseconds(wire::kHeartbeatIntervalMs)),
      lease_(Milliseconds(wire::kLeaseMs)) {
  TUTTI_CHECK(options_.session != 0, "a session without a number");
}

wire::ToCoordinator Membership::Envelope() const {
  wire::ToCoordinator message;
  message.set_session(options_.session);
  return message;
}

bool Membership::Hear(const wire::ToWorker& message, Instant now) {
  if (message.session() != options_.session || state_ == State::kLeft) return false;
  if (message.generation() < generation_) {
    Log(kWarning, "old_coordinator",
        {{"generation", message.generation()}, {"newest", generation_}});
    return false;
  }
  generation_ = message.generation();
  CheckLease(now);
  switch (message.body_case()) {
    case wire::ToWorker::kRegistered:
      HandleRegistered(message.registered(), now);
      return false;
    case wire::ToWorker::kRefused:
      options_.on_refused(message.refused());
      return false;
    case wire::ToWorker::kReregister:
      if (state_ == State::kRegistered) Log(kInfo, "asked_to_register_again");
      state_ = State::kRegistering;
      SendRegister(now);
      return false;
    case wire::ToWorker::kHeartbeatAck:
      Renew(message.heartbeat_ack().number(), now);
      return false;
    case wire::ToWorker::BODY_NOT_SET:
      return false;
    case wire::ToWorker::kLaunchGang:
      return registered();
    case wire::ToWorker::kStopGang:
    case wire::ToWorker::kCheckpointGang:
    case wire::ToWorker::kFenceDone:
    case wire::ToWorker::kReportAck:
    case wire::ToWorker::kLogAck:
    case wire::ToWorker::kRunTool:
    case wire::ToWorker::kCancelTool:
      return true;
  }
  return false;
}

void Membership::HandleRegistered(const wire::Registered& registered, Instant now) {
  lease_ = std::max(kLeaseMin, Milliseconds(registered.lease_ms()));
  if (!Renew(registered.number(), now)) return;  // it is asked again
  state_ = State::kRegistered;
  interval_ = std::max(kIntervalMin, Milliseconds(registered.heartbeat_interval_ms()));
  lease_running_ = true;
  next_beat_ = now;
  Log(kInfo, "registered", {{"node", registered.node()}, {"generation", generation_}});
  options_.on_registered(registered);
}

std::uint64_t Membership::Number(Instant now) {
  std::erase_if(sent_, [&](const auto& each) { return now - each.second >= lease_; });
  sent_.emplace(++last_number_, now);
  return last_number_;
}

bool Membership::Renew(std::uint64_t number, Instant now) {
  const auto sent = sent_.find(number);
  if (sent == sent_.end() || now - sent->second >= lease_) return false;
  lease_from_ = std::max(lease_from_, sent->second);
  sent_.erase(sent_.begin(), std::next(sent));
  return true;
}

void Membership::SendRegister(Instant now) {
  wire::ToCoordinator message = Envelope();
  *message.mutable_register_() = options_.describe();
  message.mutable_register_()->set_number(Number(now));
  const bool sent = options_.send(message);
  next_register_ = now + (sent ? kRegisterAgain : kTickInterval);
}

void Membership::Tick(Instant now) {
  if (state_ == State::kLeft) return;
  if (state_ == State::kRegistering && now >= next_register_) SendRegister(now);
  if (state_ == State::kRegistered && now >= next_beat_) {
    wire::ToCoordinator message = Envelope();
    *message.mutable_heartbeat() = options_.beat();
    message.mutable_heartbeat()->set_number(Number(now));
    options_.send(message);
    next_beat_ = now + interval_;
  }
  CheckLease(now);
}

void Membership::CheckLease(Instant now) {
  if (!lease_running_ || now < lease_until()) return;
  lease_running_ = false;
  // What came of the gangs is told again from the start: who answers may have placed them anew.
  state_ = State::kRegistering;
  next_register_ = now;
  Log(kWarning, "lease_lost", {{"lease_ms", lease_.count() / 1'000'000}});
  options_.on_lease_lost();
}

void Membership::SayGoodbye() {
  if (state_ == State::kRegistered) {
    wire::ToCoordinator message = Envelope();
    message.mutable_goodbye();
    options_.send(message);
  }
  state_ = State::kLeft;
}

}  // namespace tutti::agent
