// What a job's queue allows: no more slots and GPUs than the queue, and its user in it, may hold;
// nor than the queues it is part of. No threads.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "scheduler/core/ledger.h"
#include "scheduler/core/place.h"

namespace tutti::core {

// What is held, with what is given out in the same Step. Lives for one call; refers to the ledger.
// Where no queue was set nothing is limited, nor counted.
class Held {
 public:
  explicit Held(const Ledger& ledger);

  Amount Of(const std::string& queue) const;
  Amount Of(const QueueUser& who) const;
  void Add(const Job& job, std::uint32_t ranks);

  // How much the job's gang may take at most.
  Amount Allows(const Job& job) const { return Allows(WhoOf(job)); }
  Amount Allows(const QueueUser& who) const;
  bool AllowsSmallest(const Job& job) const { return Covers(Allows(job), SmallestOf(job)); }
  // Why not even its smallest gang may be placed: "queue nlp may hold 8 slots and holds 6"; "" = it
  // may.
  std::string Refusal(const Job& job) const;

  // Slots and GPUs are lent and taken back apart; what no queue owns of is not. Whether the job's
  // queue may take back what its smallest gang takes: its own, or of one it is part of, that is not
  // held.
  bool IsOwed(const Job& job) const;
  // Whether the gang of `other` holds, of what `owner` needs, more than its queue's own where the
  // owner is not part of that, too.
  bool Borrows(const Job& other, const Job& owner) const;

 private:
  using Kind = std::uint64_t Amount::*;  // slots or GPUs
  void Add(const QueueUser& who, const Amount& amount);
  Amount Owed(const std::string& queue) const;
  bool Borrows(const std::string& queue, const std::string& owner, Kind kind) const;

  const Ledger& ledger_;
  std::map<QueueUser, Amount> by_user_;     // of a queue and those below it
  std::map<std::string, Amount> by_queue_;  // likewise
  Amount own_;                              // of all queues
};

}  // namespace tutti::core
