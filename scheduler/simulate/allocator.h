// Who gets which machines, decided once a round over recorded jobs: the seam between a trace and a
// policy. The policies published elsewhere live here only, as rows of a table beside the
// scheduler's own.
//
// Of one run, one thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/simulate/training.h"

namespace tutti::simulate {

struct Cluster {
  std::uint32_t machines = 16;
  std::uint32_t slots = 4;  // of each
};

// Ranks on as few of its machines as hold them, at most all there are.
Shape Packed(std::uint32_t ranks, const Cluster& cluster);

// The machine of each rank, by index of the job in its workload. Absent: it does not run.
using Allocations = std::map<std::size_t, std::vector<std::uint32_t>>;

struct Round {
  std::int64_t now_seconds = 0;
  // Submitted and not done, in the order of the workload: its index there.
  std::vector<std::pair<std::size_t, const Training*>> jobs;
};

class Allocator {
 public:
  virtual ~Allocator() = default;
  virtual Result<Allocations> Allocate(const Round& round) = 0;
};

// kNotFound when no policy has that name: the scheduler's own (policy.h), tiresias, optimus.
Result<std::unique_ptr<Allocator>> MakeAllocator(std::string_view policy, const Cluster& cluster);
// Their names, for people.
std::vector<std::string> AllocatorNames();

std::unique_ptr<Allocator> MakeTiresias(const Cluster& cluster);
std::unique_ptr<Allocator> MakeOptimus(const Cluster& cluster);

// The free slots of each machine as both ports give them out: the one with most first, the lowest
// number of those.
class FreeSlots {
 public:
  FreeSlots(const Cluster& cluster, const Allocations& taken);
  std::vector<std::uint32_t> Take(std::uint32_t ranks);

 private:
  std::vector<std::uint32_t> free_;
};

}  // namespace tutti::simulate
