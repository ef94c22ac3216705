#include "worker/model/bfloat16.h"

#include <algorithm>
#include <bit>

namespace tutti::model {
namespace {

constexpr std::uint32_t kUpper = 0xFFFF0000U;
constexpr std::uint32_t kQuiet = 0x00400000U;  // of a NaN
constexpr std::uint32_t kInfinity = 0x7F800000U;
constexpr std::uint32_t kMagnitude = 0x7FFFFFFFU;

// Without a branch, so that the loops below become vectors.
std::uint32_t Rounded(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t nearest = (bits + 0x7FFFU + ((bits >> 16) & 1U)) & kUpper;
  const std::uint32_t nan = (bits | kQuiet) & kUpper;
  return (bits & kMagnitude) > kInfinity ? nan : nearest;
}

}  // namespace

void RoundToBf16(std::span<const float> from, float* to) {
  for (std::size_t i = 0; i < from.size(); ++i) to[i] = std::bit_cast<float>(Rounded(from[i]));
}

void NarrowToBf16(std::span<const float> from, std::uint16_t* to) {
  for (std::size_t i = 0; i < from.size(); ++i) {
    to[i] = static_cast<std::uint16_t>(Rounded(from[i]) >> 16);
  }
}

void WidenBf16(std::span<const std::uint16_t> from, float* to) {
  for (std::size_t i = 0; i < from.size(); ++i) {
    to[i] = std::bit_cast<float>(std::uint32_t{from[i]} << 16);
  }
}

bool CpuMultipliesBf16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") != 0 || __builtin_cpu_supports("amx-bf16") != 0;
#else
  return false;
#endif
}

void WeightPlace::CopyTo(std::span<float> out) const {
  if (halves != nullptr) {
    WidenBf16({halves, out.size()}, out.data());
  } else {
    std::copy_n(floats, out.size(), out.begin());
  }
}

const float* WeightPlace::Read(std::int64_t offset, std::int64_t count, float* room) const {
  if (halves == nullptr) return floats + offset;
  WidenBf16({halves + offset, static_cast<std::size_t>(count)}, room);
  return room;
}

}  // namespace tutti::model
