// Being a worker of a coordinator: registering, heartbeats, the lease, and which messages count.
//
// Owned by the agent, on its loop's thread. It has no clock and no socket of its own: `now` and
// `send` come from outside.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "common/base/time.h"
#include "common/wire/messages.pb.h"

namespace tutti::agent {

class Membership {
 public:
  struct Options {
    std::uint64_t session = 0;  // of this process, random, not 0
    std::function<bool(const wire::ToCoordinator&)> send;
    std::function<wire::Register()> describe;
    std::function<wire::Heartbeat()> beat;
    std::function<void(const wire::Registered&)> on_registered;  // each time
    std::function<void()> on_lease_lost;                         // gangs must die
    std::function<void(const wire::Refused&)> on_refused;
  };

  Membership(Options options, Instant now);

  // What came from the coordinator. True: it is for the rest of the agent to handle (launches,
  // acknowledgements, …). Messages to another life of this worker, or from a coordinator that has a
  // successor, are dropped. It may have waited while this process was stopped: the lease is looked
  // at first, and a worker that is not registered launches nothing.
  bool Hear(const wire::ToWorker& message, Instant now);
  // At least every kTickInterval.
  void Tick(Instant now);
  // What heartbeats say has changed: the next one goes with the next Tick.
  void BeatSoon() { next_beat_ = Instant{}; }
  void SayGoodbye();

  bool registered() const { return state_ == State::kRegistered; }
  // When the lease ends, or has ended, as far as the answers so far say.
  Instant lease_until() const { return lease_from_ + lease_; }
  // What to send a message of this life in.
  wire::ToCoordinator Envelope() const;

  static constexpr Duration kTickInterval = std::chrono::milliseconds(50);

 private:
  enum class State { kRegistering, kRegistered, kLeft };

  void SendRegister(Instant now);
  std::uint64_t Number(Instant now);  // of a message that is sent now
  // The message of that number has been answered. False: it is not known, or older than a lease.
  bool Renew(std::uint64_t number, Instant now);
  void CheckLease(Instant now);
  void HandleRegistered(const wire::Registered& registered, Instant now);

  Options options_;
  State state_ = State::kRegistering;
  std::uint64_t generation_ = 0;  // the newest coordinator heard of
  Instant next_register_;
  Instant next_beat_;
  std::uint64_t last_number_ = 0;
  std::map<std::uint64_t, Instant> sent_;  // registrations and heartbeats not answered, by number
  Instant lease_from_;                     // when the newest answered one was sent
  bool lease_running_ = false;  // there was a coordinator once, and the lease has not been lost
  Duration interval_;
  Duration lease_;
};

}  // namespace tutti::agent
