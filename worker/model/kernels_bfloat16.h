// Between float32 and bfloat16: loops that become vectors. Included by the kernel sources only (see
// kernels_vector.h).
#pragma once

#include "worker/model/kernels_vector.h"

namespace tutti::model::TUTTI_KERNEL_ISA {

// To the nearest, ties to even; infinities stay, NaN stays NaN. Without a branch.
TUTTI_INLINE std::uint32_t RoundedBits(float value) {
  constexpr std::uint32_t kUpper = 0xFFFF0000U;
  constexpr std::uint32_t kQuiet = 0x00400000U;  // of a NaN
  constexpr std::uint32_t kInfinity = 0x7F800000U;
  constexpr std::uint32_t kMagnitude = 0x7FFFFFFFU;
  const auto bits = __builtin_bit_cast(std::uint32_t, value);
  const std::uint32_t nearest = (bits + 0x7FFFU + ((bits >> 16) & 1U)) & kUpper;
  const std::uint32_t nan = (bits | kQuiet) & kUpper;
  return (bits & kMagnitude) > kInfinity ? nan : nearest;
}

static void RoundBf16(Index count, const float* from, float* to) {
  for (Index i = 0; i < count; ++i) to[i] = __builtin_bit_cast(float, RoundedBits(from[i]));
}

static void NarrowBf16(Index count, const float* from, std::uint16_t* to) {
  for (Index i = 0; i < count; ++i) to[i] = static_cast<std::uint16_t>(RoundedBits(from[i]) >> 16);
}

static void WidenBf16(Index count, const std::uint16_t* from, float* to) {
  for (Index i = 0; i < count; ++i) {
    to[i] = __builtin_bit_cast(float, static_cast<std::uint32_t>(from[i]) << 16);
  }
}

}  // namespace tutti::model::TUTTI_KERNEL_ISA
