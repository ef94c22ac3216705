// What this machine has and uses, as far as this process may: cores and caches by hwloc, memory
// within the limits of its control groups, disk. Free functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace tutti::agent {

struct Machine {
  std::uint32_t cores = 1;  // logical processors this process may use
  std::uint64_t memory_bytes = 0;
  std::string cpu_model;                        // "" when nothing says
  std::vector<std::string> isa_flags;           // sorted: "avx2", …
  std::vector<std::uint64_t> cache_size_bytes;  // level 1 up, of the first core
};
Result<Machine> ProbeMachine();

// The machine's topology as hwloc writes it (XML, version 2): what ranks would else each find out
// by themselves.
Result<std::string> TopologyXml();

struct Usage {
  std::uint64_t memory_used_bytes = 0;
  double cpu_seconds = 0;  // all cores, since boot
};
Usage ProbeUsage();

// How often the kernel has killed a process of this control group for memory; nullopt when nothing
// readable says. Grows: what counts is the difference.
std::optional<std::uint64_t> MemoryKills();

// The files of this process' memory control group called `v1` or `v2` (what each hierarchy calls
// them), from its own folder up to the root of what is mounted.
std::vector<std::filesystem::path> MemoryGroupFiles(const std::string& v1, const std::string& v2);

}  // namespace tutti::agent
