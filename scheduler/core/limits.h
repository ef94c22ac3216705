// What a job's queue allows: no more slots than the queue, and its user in it, may hold; nor than
// the queues it is part of. No threads.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "scheduler/core/ledger.h"

namespace tutti::core {

// Slots held, with those given out in the same Step. Lives for one call; refers to the ledger.
// Where no queue was set nothing is limited, nor counted.
class Held {
 public:
  explicit Held(const Ledger& ledger);

  std::uint64_t Of(const std::string& queue) const;
  std::uint64_t Of(const QueueUser& who) const;
  void Add(const Job& job, std::uint64_t slots);

  // How many slots the job's gang may take at most; the largest number where nothing limits it.
  std::uint64_t Allows(const Job& job) const { return Allows(WhoOf(job)); }
  std::uint64_t Allows(const QueueUser& who) const;
  // Why not even its smallest gang may be placed: "queue nlp may hold 8 slots and holds 6"; "" = it
  // may.
  std::string Refusal(const Job& job) const;
  // Slots that the queue may take back from borrowers: its own, or of one it is part of, that are
  // not held.
  std::uint64_t Owed(const std::string& queue) const;
  // Whether `queue` holds more than its own where `owner` is not part of it, too.
  bool Borrows(const std::string& queue, const std::string& owner) const;

 private:
  void Add(const QueueUser& who, std::uint64_t slots);

  const Ledger& ledger_;
  std::map<QueueUser, std::uint64_t> by_user_;     // of a queue and those below it
  std::map<std::string, std::uint64_t> by_queue_;  // likewise
};

}  // namespace tutti::core
