// Names the rank that stands still while the others wait for it. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "jobs/attempt/attempt.h"

namespace tutti::attempt {

inline constexpr std::size_t kStepTimes = 15;
inline constexpr std::size_t kStepTimesNeeded = 3;

struct Stall {
  std::uint32_t rank = 0;  // local
  Duration silent{};       // since its last Beat
  bool fatal = false;      // long enough to give the gang up
  std::string message;
};

// A rank is named when it has said nothing for 3 × the median step + 1 s, and given up after
// 10 × the median + 10 s; both only while the whole gang is inside steps (evaluation, export and
// loading have Limits::quiet).
std::optional<Stall> FindStall(const State& state, Instant now);

}  // namespace tutti::attempt
