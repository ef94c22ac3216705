// Sixteen-lane vectors on GCC's vector extension: what the kernels are written in. Included only by
// the kernel sources, inside the namespace TUTTI_KERNEL_ISA, so that no inline function compiled
// for one instruction set can be linked into another. No standard header's functions are used for
// the same reason.
//
// A vector is one register where the CPU has 16 lanes, else a Pair of halves down to registers:
// GCC turns comparisons of vectors wider than a register into scalar code.
#pragma once

#if defined(__FMA__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

#include <cstdint>

#ifndef TUTTI_KERNEL_ISA
#error "define TUTTI_KERNEL_ISA and TUTTI_KERNEL_LANES first"
#endif

namespace tutti::model::TUTTI_KERNEL_ISA {

using Index = std::int64_t;

#define TUTTI_INLINE static inline __attribute__((always_inline))
#define TUTTI_FLAT __attribute__((always_inline))

constexpr Index kWidth = 16;
constexpr Index kLaneCount = TUTTI_KERNEL_LANES;  // of a register
typedef float Reg __attribute__((vector_size(4 * TUTTI_KERNEL_LANES)));
typedef float RegU __attribute__((vector_size(4 * TUTTI_KERNEL_LANES), aligned(4), may_alias));
typedef std::int32_t IntReg __attribute__((vector_size(4 * TUTTI_KERNEL_LANES)));
typedef std::uint32_t BitReg __attribute__((vector_size(4 * TUTTI_KERNEL_LANES)));

template <typename T>
struct Pair {
  T lo, hi;
};

// Sixteen lanes of each register type.
template <typename T, Index lanes>
struct Sixteen {
  using Type = Pair<typename Sixteen<T, 2 * lanes>::Type>;
};
template <typename T>
struct Sixteen<T, kWidth> {
  using Type = T;
};
using F16 = Sixteen<Reg, kLaneCount>::Type;
using I16 = Sixteen<IntReg, kLaneCount>::Type;
using U16 = Sixteen<BitReg, kLaneCount>::Type;

#define TUTTI_LANEWISE(op)                                 \
  template <typename T>                                    \
  TUTTI_INLINE Pair<T> operator op(Pair<T> a, Pair<T> b) { \
    return {a.lo op b.lo, a.hi op b.hi};                   \
  }                                                        \
  template <typename T, typename S>                        \
  TUTTI_INLINE Pair<T> operator op(Pair<T> a, S b) {       \
    return {a.lo op b, a.hi op b};                         \
  }                                                        \
  template <typename T>                                    \
  TUTTI_INLINE Pair<T> operator op(float a, Pair<T> b) {   \
    return {a op b.lo, a op b.hi};                         \
  }
TUTTI_LANEWISE(+)
TUTTI_LANEWISE(-)
TUTTI_LANEWISE(*)
TUTTI_LANEWISE(/)
TUTTI_LANEWISE(^)
TUTTI_LANEWISE(<<)
TUTTI_LANEWISE(>>)
#undef TUTTI_LANEWISE
template <typename T>
TUTTI_INLINE Pair<T> operator-(Pair<T> a) {
  return {-a.lo, -a.hi};
}
template <typename T, typename S>
TUTTI_INLINE Pair<T>& operator+=(Pair<T>& a, S b) {
  return a = a + b;
}
template <typename T, typename S>
TUTTI_INLINE Pair<T>& operator*=(Pair<T>& a, S b) {
  return a = a * b;
}
template <typename T, typename S>
TUTTI_INLINE Pair<T>& operator^=(Pair<T>& a, S b) {
  return a = a ^ b;
}

// a · b + sum, rounded once where the CPU can. Written as a sum of a product it would be up to the
// compiler, place by place, whether it is.
TUTTI_INLINE Reg MultiplyAdd(Reg a, Reg b, Reg sum) {
#if defined(__AVX512F__) && TUTTI_KERNEL_LANES == 16
  return _mm512_fmadd_ps(a, b, sum);
#elif defined(__FMA__) && TUTTI_KERNEL_LANES == 8
  return _mm256_fmadd_ps(a, b, sum);
#else
  return a * b + sum;
#endif
}
template <typename T>
TUTTI_INLINE Pair<T> MultiplyAdd(Pair<T> a, Pair<T> b, Pair<T> sum) {
  return {MultiplyAdd(a.lo, b.lo, sum.lo), MultiplyAdd(a.hi, b.hi, sum.hi)};
}

// Lane by lane: a < b ? yes : no.
TUTTI_INLINE Reg SelectLess(Reg a, Reg b, Reg yes, Reg no) { return a < b ? yes : no; }
TUTTI_INLINE Reg SelectLess(BitReg a, BitReg b, Reg yes, Reg no) { return a < b ? yes : no; }
template <typename A, typename T>
TUTTI_INLINE Pair<T> SelectLess(Pair<A> a, Pair<A> b, Pair<T> yes, Pair<T> no) {
  return {SelectLess(a.lo, b.lo, yes.lo, no.lo), SelectLess(a.hi, b.hi, yes.hi, no.hi)};
}

TUTTI_INLINE IntReg AsInts(Reg v) { return reinterpret_cast<IntReg>(v); }
template <typename T>
TUTTI_INLINE auto AsInts(Pair<T> v) -> Pair<decltype(AsInts(v.lo))> {
  return {AsInts(v.lo), AsInts(v.hi)};
}
TUTTI_INLINE Reg AsFloats(IntReg v) { return reinterpret_cast<Reg>(v); }
template <typename T>
TUTTI_INLINE auto AsFloats(Pair<T> v) -> Pair<decltype(AsFloats(v.lo))> {
  return {AsFloats(v.lo), AsFloats(v.hi)};
}

template <typename V>
struct Lanes {  // of a register type
  static constexpr Index kCount = kLaneCount;
  TUTTI_INLINE void Load(V& v, const float* p) { v = *reinterpret_cast<const RegU*>(p); }
  TUTTI_INLINE void Store(float* p, V v) { *reinterpret_cast<RegU*>(p) = v; }
  template <typename S>
  TUTTI_INLINE V Fill(S x) {
    return V{} + x;
  }
  TUTTI_INLINE V Count(std::uint32_t first) {
    V v = {};
    for (int i = 0; i < kLaneCount; ++i) v[i] = first + static_cast<std::uint32_t>(i);
    return v;
  }
};
template <typename T>
struct Lanes<Pair<T>> {
  static constexpr Index kCount = 2 * Lanes<T>::kCount;
  TUTTI_INLINE void Load(Pair<T>& v, const float* p) {
    Lanes<T>::Load(v.lo, p);
    Lanes<T>::Load(v.hi, p + Lanes<T>::kCount);
  }
  TUTTI_INLINE void Store(float* p, Pair<T> v) {
    Lanes<T>::Store(p, v.lo);
    Lanes<T>::Store(p + Lanes<T>::kCount, v.hi);
  }
  template <typename S>
  TUTTI_INLINE Pair<T> Fill(S x) {
    return {Lanes<T>::Fill(x), Lanes<T>::Fill(x)};
  }
  TUTTI_INLINE Pair<T> Count(std::uint32_t first) {
    return {Lanes<T>::Count(first),
            Lanes<T>::Count(first + static_cast<std::uint32_t>(Lanes<T>::kCount))};
  }
};

TUTTI_INLINE F16 Load(const float* p) {
  F16 v;
  Lanes<F16>::Load(v, p);
  return v;
}
TUTTI_INLINE void Store(float* p, F16 v) { Lanes<F16>::Store(p, v); }
TUTTI_INLINE F16 Splat(float x) { return Lanes<F16>::Fill(x); }
TUTTI_INLINE F16 LoadPart(const float* p, Index n) {
  float copy[kWidth] = {};
  for (Index i = 0; i < n; ++i) copy[i] = p[i];
  return Load(copy);
}
TUTTI_INLINE void StorePart(float* p, F16 v, Index n) {
  float copy[kWidth];
  Store(copy, v);
  for (Index i = 0; i < n; ++i) p[i] = copy[i];
}
TUTTI_INLINE F16 Max(F16 a, F16 b) { return SelectLess(b, a, a, b); }
TUTTI_INLINE F16 Min(F16 a, F16 b) { return SelectLess(a, b, a, b); }

TUTTI_INLINE U16 FirstLanes() { return Lanes<U16>::Count(0); }
TUTTI_INLINE U16 SplatBits(std::uint32_t x) { return Lanes<U16>::Fill(x); }
// The first n lanes of v, zeros behind.
TUTTI_INLINE F16 KeepFirst(F16 v, Index n) {
  return SelectLess(FirstLanes(), SplatBits(static_cast<std::uint32_t>(n)), v, Splat(0));
}

// Halves are folded onto each other, down to one lane.
struct AddLanes {
  TUTTI_INLINE Reg Both(Reg a, Reg b) { return a + b; }
  TUTTI_INLINE float One(float a, float b) { return a + b; }
};
struct MaxLanes {
  TUTTI_INLINE Reg Both(Reg a, Reg b) { return b < a ? a : b; }
  TUTTI_INLINE float One(float a, float b) { return b < a ? a : b; }
};
template <typename Fold>
TUTTI_INLINE float FoldLanes(Reg v) {
#if TUTTI_KERNEL_LANES == 16
  v = Fold::Both(
      v, __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  v = Fold::Both(
      v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
  v = Fold::Both(
      v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
#elif TUTTI_KERNEL_LANES == 8
  v = Fold::Both(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3));
  v = Fold::Both(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5));
#else
  v = Fold::Both(v, __builtin_shufflevector(v, v, 2, 3, 0, 1));
#endif
  return Fold::One(v[0], v[1]);
}
template <typename Fold>
TUTTI_INLINE Reg FoldPairs(Reg v) {
  return v;
}
template <typename Fold, typename T>
TUTTI_INLINE Reg FoldPairs(Pair<Pair<T>> v) {
  return FoldPairs<Fold>(Pair<T>{Fold::Both(v.lo.lo, v.hi.lo), Fold::Both(v.lo.hi, v.hi.hi)});
}
template <typename Fold>
TUTTI_INLINE Reg FoldPairs(Pair<Reg> v) {
  return Fold::Both(v.lo, v.hi);
}
TUTTI_INLINE float Sum(F16 v) { return FoldLanes<AddLanes>(FoldPairs<AddLanes>(v)); }
TUTTI_INLINE float Largest(F16 v) { return FoldLanes<MaxLanes>(FoldPairs<MaxLanes>(v)); }

}  // namespace tutti::model::TUTTI_KERNEL_ISA
