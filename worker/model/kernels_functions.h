// Functions of sixteen lanes: the exponential and dropout's masks. Included by the kernel sources
// only (see kernels_vector.h).
#pragma once

#include "worker/model/kernels.h"
#include "worker/model/kernels_vector.h"

namespace tutti::model::TUTTI_KERNEL_ISA {

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
  return AsFloats(AsInts(p) + (AsInts(shifted) << 23));
}

// The dropout hash of 16 counters from `first` on: a two-round 32-bit mixer (constants of Wellons'
// hash-prospector), keyed before each round.
TUTTI_INLINE U16 HashLanes(std::uint64_t key, std::uint32_t first) {
  U16 x = (FirstLanes() + first) ^ static_cast<std::uint32_t>(key);
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
  return SelectLess(hash, SplatBits(keep.threshold), Splat(0), Splat(keep.scale));
}

}  // namespace tutti::model::TUTTI_KERNEL_ISA
