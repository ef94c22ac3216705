// Random numbers of a seed: the same on every machine and for ever. A value; no threads.
#pragma once

#include <cstdint>

#include "common/base/time.h"

namespace tutti::simulate {

// SplitMix64's step: scatters the bits of `value`.
constexpr std::uint64_t Scatter(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15U;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31);
}

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(Scatter(seed)) {}

  std::uint64_t Bits() {
    state_ += 0x9e3779b97f4a7c15U;
    return Scatter(state_);
  }
  // 0 … below - 1. REQUIRES: below > 0.
  std::uint64_t Draw(std::uint64_t below) { return Bits() % below; }
  std::uint64_t Between(std::uint64_t low, std::uint64_t high) {
    return low + Draw(high - low + 1);
  }
  bool Chance(double probability) {
    return static_cast<double>(Bits() >> 11) * 0x1p-53 < probability;
  }
  Duration Between(Duration low, Duration high) {
    const auto span = static_cast<std::uint64_t>((high - low).count()) + 1;
    return low + Duration{static_cast<std::int64_t>(Draw(span))};
  }

 private:
  std::uint64_t state_;
};

}  // namespace tutti::simulate
