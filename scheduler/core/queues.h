// How the cluster is shared: queues, what their users took lately, and which policy orders them.
// Values; no threads.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace tutti::core {

// What gangs take together, or may take.
struct Amount {
  std::uint64_t slots = 0;
  std::uint64_t gpus = 0;
  Amount& operator+=(const Amount& other) {
    slots += other.slots;
    gpus += other.gpus;
    return *this;
  }
  Amount& operator-=(const Amount& other) {
    slots -= other.slots;
    gpus -= other.gpus;
    return *this;
  }
  bool operator==(const Amount&) const = default;
};
inline bool Covers(const Amount& all, const Amount& part) {
  return all.slots >= part.slots && all.gpus >= part.gpus;
}
// Where nothing limits it.
inline constexpr Amount kAnyAmount{std::numeric_limits<std::uint64_t>::max(),
                                   std::numeric_limits<std::uint64_t>::max()};

std::string SlotsText(std::uint64_t slots);  // "1 slot", "2 slots"
std::string GpusText(std::uint64_t gpus);    // "1 GPU", "2 GPUs"

// Limits and own slots of a queue count what the queues below it hold, too; so do those of GPUs.
struct QueueConfig {
  double weight = 1;             // of its share among its siblings where not all get enough; > 0
  std::uint64_t slots = 0;       // its own: lent to others while idle, and taken back
  std::uint64_t slots_max = 0;   // all of its gangs together; 0 = all there are
  std::uint64_t user_slots = 0;  // one user's gangs in it together; 0 = all there are
  std::uint64_t gpus = 0;        // the same three of GPUs
  std::uint64_t gpus_max = 0;
  std::uint64_t user_gpus = 0;
  std::string parent = {};  // the queue it is a part of; "" = none
  bool operator==(const QueueConfig&) const = default;
};

struct QueueUser {
  std::string queue;
  std::string user;
  auto operator<=>(const QueueUser&) const = default;
};

struct Usage {
  std::uint64_t slot_ms = 0;  // of ended attempts, for ever
  std::uint64_t gpu_ms = 0;   // likewise
  double recent_slot_ms = 0;  // halves every kUsageHalfLife
  double recent_gpu_ms = 0;   // likewise
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
