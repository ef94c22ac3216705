// A register-blocked product of small matrices. Included by the kernel sources only (see
// kernels_vector.h).
#pragma once

#include "worker/model/kernels_vector.h"

namespace tutti::model::TUTTI_KERNEL_ISA {

// Two columns of registers a row: twelve sums fill AVX2's sixteen registers, sixteen AVX-512's
// half.
constexpr int kBlockRows = kLaneCount == 16 ? 8 : kLaneCount == 8 ? 6 : 4;

// Element (i, k) is base[i·row + k·column].
struct Left {
  const float* base;
  Index row, column;
};

template <int R, int C>
TUTTI_INLINE void ProductBlock(Index K, Left a, const float* b, Index ldb, float* c, Index ldc) {
  Reg sums[R][C];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int j = 0; j < C; ++j) sums[r][j] = Reg{};
  }
  for (Index k = 0; k < K; ++k) {
    Reg right[C];
#pragma GCC unroll 2
    for (int j = 0; j < C; ++j) {
      right[j] = *reinterpret_cast<const RegU*>(b + k * ldb + j * kLaneCount);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const float left = a.base[r * a.row + k * a.column];
#pragma GCC unroll 2
      for (int j = 0; j < C; ++j) sums[r][j] += left * right[j];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int j = 0; j < C; ++j) {
      *reinterpret_cast<RegU*>(c + r * ldc + j * kLaneCount) = sums[r][j];
    }
  }
}

template <int C>
static void ProductColumns(Index M, Index K, Left a, const float* b, Index ldb, float* c,
                           Index ldc) {
  Index i = 0;
  for (; i + kBlockRows <= M; i += kBlockRows) {
    ProductBlock<kBlockRows, C>(K, {a.base + i * a.row, a.row, a.column}, b, ldb, c + i * ldc, ldc);
  }
  if (kBlockRows > 4 && i + 4 <= M) {
    ProductBlock<4, C>(K, {a.base + i * a.row, a.row, a.column}, b, ldb, c + i * ldc, ldc);
    i += 4;
  }
  for (; i + 2 <= M; i += 2) {
    ProductBlock<2, C>(K, {a.base + i * a.row, a.row, a.column}, b, ldb, c + i * ldc, ldc);
  }
  if (i < M) {
    ProductBlock<1, C>(K, {a.base + i * a.row, a.row, a.column}, b, ldb, c + i * ldc, ldc);
  }
}

// c[M, N] = a[M, K] b[K, N]; N a multiple of 16. Each element is summed over k in order.
static void Product(Index M, Index N, Index K, Left a, const float* b, Index ldb, float* c,
                    Index ldc) {
  Index j = 0;
  for (; j + 2 * kLaneCount <= N; j += 2 * kLaneCount) {
    ProductColumns<2>(M, K, a, b + j, ldb, c + j, ldc);
  }
  for (; j < N; j += kLaneCount) ProductColumns<1>(M, K, a, b + j, ldb, c + j, ldc);
}

// to[dim, padded] = transpose of from[count, dim], zeros behind `count`.
static void Transpose(Index count, Index dim, Index padded, const float* from, Index stride,
                      float* to) {
  for (Index d = 0; d < dim; ++d) {
    float* row = to + d * padded;
    for (Index i = 0; i < count; ++i) row[i] = from[i * stride + d];
    for (Index i = count; i < padded; ++i) row[i] = 0;
  }
}

// [count, dim] as a right-hand side whose rows can be read 16 at a time: itself where dim allows,
// else a copy with zeros behind.
struct Right {
  const float* base;
  Index stride;
};
static Right Padded(Index count, Index dim, Index padded, const float* from, Index stride,
                    float* copy) {
  if (dim == padded) return {from, stride};
  for (Index i = 0; i < count; ++i) {
    for (Index d = 0; d < padded; ++d) copy[i * padded + d] = d < dim ? from[i * stride + d] : 0;
  }
  return {copy, padded};
}

// out[M, dim] = a b, through `copy` where dim is no multiple of 16.
static void ProductTo(Index M, Index dim, Index padded, Index K, Left a, Right b, float* out,
                      Index stride, float* copy) {
  if (dim == padded) return Product(M, dim, K, a, b.base, b.stride, out, stride);
  Product(M, padded, K, a, b.base, b.stride, copy, padded);
  for (Index i = 0; i < M; ++i) {
    for (Index d = 0; d < dim; ++d) out[i * stride + d] = copy[i * padded + d];
  }
}

}  // namespace tutti::model::TUTTI_KERNEL_ISA
