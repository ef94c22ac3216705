// Numbers of two bytes: the upper halves of float32's. Where weights lie in one or the other form.
// Values and free functions; any thread.
#pragma once

#include <cstdint>
#include <span>

namespace tutti::model {

// Each to the nearest, ties to even; infinities stay, NaN stays NaN.
void RoundToBf16(std::span<const float> from, float* to);  // float32 that bfloat16 has, too
void NarrowToBf16(std::span<const float> from, std::uint16_t* to);
void WidenBf16(std::span<const std::uint16_t> from, float* to);  // exact

// Whether this CPU multiplies bfloat16 itself (avx512_bf16 or amx_bf16).
bool CpuMultipliesBf16();

// Weights where they lie, which is one of the two. Borrows.
struct WeightPlace {
  const float* floats = nullptr;
  const std::uint16_t* halves = nullptr;

  WeightPlace() = default;
  WeightPlace(const float* at) : floats(at) {}          // NOLINT(google-explicit-constructor)
  WeightPlace(const std::uint16_t* at) : halves(at) {}  // NOLINT(google-explicit-constructor)

  bool any() const { return floats != nullptr || halves != nullptr; }
  WeightPlace At(std::int64_t offset) const {
    if (halves != nullptr) return halves + offset;
    return floats + offset;
  }
  void CopyTo(std::span<float> out) const;
  // `count` of them as float32: where they lie, or in `room`.
  const float* Read(std::int64_t offset, std::int64_t count, float* room) const;
};

}  // namespace tutti::model
