// Sixteen-lane vectors on GCC's vector extension: what the kernels are written in. Included only by
// the kernel sources, inside the namespace TUTTI_KERNEL_ISA, so that no inline function compiled
// for one instruction set can be linked into another. No standard header's functions are used for
// the same reason.
#pragma once

#include <cstdint>

#ifndef TUTTI_KERNEL_ISA
#error "define TUTTI_KERNEL_ISA and TUTTI_KERNEL_LANES first"
#endif

namespace tutti::model::TUTTI_KERNEL_ISA {

using Index = std::int64_t;

constexpr Index kWidth = 16;
typedef float F16 __attribute__((vector_size(64)));
typedef float F16U __attribute__((vector_size(64), aligned(4), may_alias));
typedef std::int32_t I16 __attribute__((vector_size(64)));
typedef std::uint32_t U16 __attribute__((vector_size(64)));

#define TUTTI_INLINE static inline __attribute__((always_inline))
#define TUTTI_FLAT __attribute__((always_inline))

TUTTI_INLINE F16 Load(const float* p) { return *reinterpret_cast<const F16U*>(p); }
TUTTI_INLINE void Store(float* p, F16 v) { *reinterpret_cast<F16U*>(p) = v; }
TUTTI_INLINE F16 Splat(float x) { return F16{} + x; }
TUTTI_INLINE F16 LoadPart(const float* p, Index n) {
  F16 v = {};
  __builtin_memcpy(&v, p, static_cast<unsigned long>(n) * sizeof(float));
  return v;
}
TUTTI_INLINE void StorePart(float* p, F16 v, Index n) {
  __builtin_memcpy(p, &v, static_cast<unsigned long>(n) * sizeof(float));
}
TUTTI_INLINE F16 Max(F16 a, F16 b) { return a > b ? a : b; }
TUTTI_INLINE F16 Min(F16 a, F16 b) { return a < b ? a : b; }

constexpr U16 kLanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

// Halves are folded onto each other: lane 0 of ((8 lanes) + (8 lanes)) and so on.
TUTTI_INLINE float Sum(F16 v) {
  v += __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
  v += __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
  v += __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
  return v[0] + v[1];
}
TUTTI_INLINE float Largest(F16 v) {
  v = Max(v, __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  v = Max(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
  v = Max(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
  return v[0] > v[1] ? v[0] : v[1];
}

// e^x within 2 units in the last place; 0 below −87.3. Cephes expf: x = n·ln 2 + r, polynomial in
// r.
TUTTI_INLINE F16 Exp(F16 x) {
  x = Min(Max(x, Splat(-87.3365F)), Splat(88.3762F));
  const F16 magic = Splat(12582912.0F);  // 1.5·2^23: adding it rounds to an integer in the low bits
  const F16 shifted = x * 1.44269504088896341F + magic;
  const F16 n = shifted - magic;
  F16 r = x - n * 0.693359375F;
  r = r + n * 2.12194440e-4F;
  F16 p = Splat(1.9875691500E-4F);
  p = p * r + 1.3981999507E-3F;
  p = p * r + 8.3334519073E-3F;
  p = p * r + 4.1665795894E-2F;
  p = p * r + 1.6666665459E-1F;
  p = p * r + 5.0000001201E-1F;
  p = p * (r * r) + r + 1.0F;
  const I16 exponent = (reinterpret_cast<I16>(shifted) << 23);
  return reinterpret_cast<F16>(reinterpret_cast<I16>(p) + exponent);
}

// The dropout hash of 16 counters from `first` on: a two-round 32-bit mixer (constants of Wellons'
// hash-prospector), keyed before each round.
TUTTI_INLINE U16 HashLanes(std::uint64_t key, std::uint32_t first) {
  U16 x = (kLanes + first) ^ static_cast<std::uint32_t>(key);
  x ^= x >> 16;
  x *= 0x21f0aaadU;
  x ^= x >> 15;
  x += static_cast<std::uint32_t>(key >> 32);
  x ^= x >> 13;
  x *= 0x735a2d97U;
  x ^= x >> 15;
  return x;
}

// The multipliers of 16 elements: 0 or 1 / (1 − probability).
struct Keep {
  std::uint64_t key;
  std::uint32_t threshold;
  float scale;
};
TUTTI_INLINE Keep KeepOf(const Dropout& dropout) {
  const double p = static_cast<double>(dropout.probability);
  return {dropout.key, static_cast<std::uint32_t>(p * 4294967296.0),
          static_cast<float>(1.0 / (1.0 - p))};
}
TUTTI_INLINE F16 KeepLanes(const Keep& keep, Index first) {
  const U16 hash = HashLanes(keep.key, static_cast<std::uint32_t>(first));
  const U16 threshold = U16{} + keep.threshold;
  return hash >= threshold ? Splat(keep.scale) : F16{};
}

}  // namespace tutti::model::TUTTI_KERNEL_ISA
