// Reports about gangs that the coordinator has not acknowledged yet: sent again and again until it
// has. In memory only: a worker that dies takes its gangs with it, and the lease says so.
//
// Owned by the agent, on its loop's thread; `now` comes from outside.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "common/base/time.h"
#include "common/wire/messages.pb.h"

namespace tutti::agent {

class ReportOutbox {
 public:
  using Send = std::function<bool(const wire::GangReport&)>;
  explicit ReportOutbox(Send send) : send_(std::move(send)) {}

  // Gives the report its id and sends it.
  void Add(wire::GangReport report, Instant now);
  void Acknowledge(std::uint64_t report_id) { waiting_.erase(report_id); }
  // Sends what is overdue.
  void Tick(Instant now);
  // Sends everything, in order: there is a new listener.
  void SendAll(Instant now);

  bool empty() const { return waiting_.empty(); }

  static constexpr Duration kAgain = std::chrono::seconds(1);

 private:
  struct Waiting {
    wire::GangReport report;
    Instant next;
  };
  void Transmit(Waiting& waiting, Instant now);

  Send send_;
  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, Waiting> waiting_;  // by id: in the order of what happened
};

}  // namespace tutti::agent
