#include "worker/model/bfloat16.h"

#include <algorithm>
#include <iterator>

#include "worker/model/kernels.h"

namespace tutti::model {
void RoundToBf16(std::span<const float> from, float* to) {
  CpuKernels().round_bf16(std::ssize(from), from.data(), to);
}

void NarrowToBf16(std::span<const float> from, std::uint16_t* to) {
  CpuKernels().narrow_bf16(std::ssize(from), from.data(), to);
}

void WidenBf16(std::span<const std::uint16_t> from, float* to) {
  CpuKernels().widen_bf16(std::ssize(from), from.data(), to);
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
