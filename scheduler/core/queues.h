// How the cluster is shared: queues, what their users took lately, and which policy orders them.
// Values; no threads.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace tutti::core {

// Limits and own slots of a queue count what the queues below it hold, too.
struct QueueConfig {
  double weight = 1;             // of its share among its siblings where not all get enough; > 0
  std::uint64_t slots = 0;       // its own: lent to others while idle, and taken back
  std::uint64_t slots_max = 0;   // all of its gangs together; 0 = all there are
  std::uint64_t user_slots = 0;  // one user's gangs in it together; 0 = all there are
  std::string parent = {};       // the queue it is a part of; "" = none
  bool operator==(const QueueConfig&) const = default;
};

struct QueueUser {
  std::string queue;
  std::string user;
  auto operator<=>(const QueueUser&) const = default;
};

struct Usage {
  std::uint64_t slot_ms = 0;  // of ended attempts, for ever
  double recent_slot_ms = 0;  // halves every kUsageHalfLife
  bool operator==(const Usage&) const = default;
};

inline constexpr double kUsageHalfLifeMs = 24.0 * 3600 * 1000;
inline constexpr std::size_t kQueuesMax = 1000;
inline constexpr std::size_t kQueueDepthMax = 8;  // a queue and all it is part of
inline constexpr double kWeightMax = 1e6;
// An hour's wait counts as much as one more of priority.
inline constexpr std::int64_t kAgePerPriorityMs = 3'600'000;

struct Sharing {
  std::string policy;          // "" = the default one
  std::uint64_t clock_ms = 0;  // time in which gangs ran: what waiting is measured by
  std::map<std::string, QueueConfig> queues;  // those that somebody set
  std::map<QueueUser, Usage> usage;
  bool operator==(const Sharing&) const = default;
};

// Of a queue nobody set: the default.
const QueueConfig& ConfigOf(const Sharing& sharing, const std::string& queue);
// The queue, its parent, that one's, …; what it holds counts for all of them.
std::vector<std::string> ChainOf(const Sharing& sharing, const std::string& queue);

}  // namespace tutti::core
