// One seed of the fault simulator: a coordinator, workers and clients on a virtual clock. The
// scheduler's Step, Apply and Observe and the workers' attempt::Step are the real ones; network,
// disk, ranks and time are not, and break as the seed says. First everything may break (the
// promises of safety hold all the while), then all is healed and everything submitted has to come
// to its end.
//
// The same options give the same hash. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/time.h"

namespace tutti::simulate {

// Bugs that a test plants to see them caught.
enum class Planted {
  kNone,
  kSkipFsync,      // replies and effects leave before their facts are on disk
  kIgnoreAttempt,  // reports of old attempts count for the present one
  kHalfGang,       // a gang of several machines is placed on some of them
  kLoseMessage,    // a report is acknowledged and forgotten
};

struct FaultOptions {
  std::uint64_t seed = 1;
  Duration safety = std::chrono::minutes(10);     // virtual; with faults
  Duration liveness = std::chrono::minutes(240);  // virtual, at most, after the healing
  Planted planted = Planted::kNone;
  bool gpus = true;  // some machines have some, and some jobs ask for them
};

struct FaultReport {
  std::uint64_t hash = 0;  // of everything that happened, in order
  std::uint64_t faults = 0;
  std::uint64_t facts = 0;
  std::uint64_t succeeded = 0;  // jobs
  std::uint64_t on_gpus = 0;    // of those
  std::uint64_t submitted = 0;
  std::vector<std::string> violations = {};  // with the instant; at most a few
  Duration simulated{};
};

FaultReport RunFaults(const FaultOptions& options);

}  // namespace tutti::simulate
