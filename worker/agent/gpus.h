// The GPUs of this machine as NVIDIA's management library tells them; the library is loaded when it
// is there. Free function.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tutti::agent {

struct Gpu {
  std::string name;
  std::uint64_t memory_bytes = 0;
};

// Empty without the library, its driver or a card.
std::vector<Gpu> ProbeGpus();

}  // namespace tutti::agent
