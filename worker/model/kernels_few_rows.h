// The product of a few rows with a matrix, as a step of generation has it. It takes as long as
// reading the matrix takes, so that is read once, as it lies; a BLAS rearranges all of it first.
// Included by the kernel sources only (see kernels_vector.h).
#pragma once

#include "worker/model/kernels.h"
#include "worker/model/kernels_rows.h"
#include "worker/model/kernels_vector.h"

namespace tutti::model::TUTTI_KERNEL_ISA {

// R rows from `row` on with O rows of the matrix from `column` on. Each element is summed in
// sixteen lanes, whatever R and O are.
template <int R, int O>
TUTTI_INLINE void DotBlock(const FewRows& a, Index row, Index column) {
  const float* const x = a.x + row * a.x_stride;
  const float* const matrix = a.matrix + column * a.matrix_stride;
  F16 sums[R][O] = {};
  ForColumns(a.in, [&](Index i, Index n) TUTTI_FLAT {
    F16 left[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) left[r] = LoadSome(x + r * a.x_stride + i, n);
#pragma GCC unroll 4
    for (int o = 0; o < O; ++o) {
      const F16 right = LoadSome(matrix + o * a.matrix_stride + i, n);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) sums[r][o] = MultiplyAdd(left[r], right, sums[r][o]);
    }
  });
  for (int r = 0; r < R; ++r) {
    float* const y = a.y + (row + r) * a.y_stride + column;
    for (int o = 0; o < O; ++o) y[o] = a.add ? y[o] + Sum(sums[r][o]) : Sum(sums[r][o]);
  }
}

// All rows with four rows of the matrix, which stay near meanwhile. Blocks fill AVX2's registers.
static void DotFour(const FewRows& a, Index column) {
  Index row = 0;
  for (; row + 4 <= a.rows; row += 4) {
    for (Index o = 0; o < 4; ++o) DotBlock<4, 1>(a, row, column + o);
  }
  for (; row + 2 <= a.rows; row += 2) {
    DotBlock<2, 2>(a, row, column);
    DotBlock<2, 2>(a, row, column + 2);
  }
  if (row < a.rows) DotBlock<1, 4>(a, row, column);
}

// y's columns first … first + count - 1 by rows k … k + K - 1 of a matrix [in, out].
template <int K>
TUTTI_INLINE void AddScaledRows(const FewRows& a, Index k, Index first, Index count) {
  for (Index row = 0; row < a.rows; ++row) {
    const float* const x = a.x + row * a.x_stride + k;
    float* const y = a.y + row * a.y_stride + first;
    const float* const matrix = a.matrix + k * a.matrix_stride + first;
    ForColumns(count, [&](Index i, Index n) TUTTI_FLAT {
      F16 sum = LoadSome(y + i, n);
#pragma GCC unroll 4
      for (int j = 0; j < K; ++j) {
        sum = MultiplyAdd(Splat(x[j]), LoadSome(matrix + j * a.matrix_stride + i, n), sum);
      }
      StoreSome(y + i, sum, n);
    });
  }
}

static void ProductOfFewRows(const FewRows& args) {
  const FewRows a = args;
  if (!a.input_major) {
    Index column = 0;
    for (; column + 4 <= a.out; column += 4) DotFour(a, column);
    for (; column < a.out; ++column) {
      for (Index row = 0; row < a.rows; ++row) DotBlock<1, 1>(a, row, column);
    }
    return;
  }
  constexpr Index kTile = 512;  // columns: those of y stay near, those of the matrix are read ahead
  for (Index first = 0; first < a.out; first += kTile) {
    const Index count = a.out - first < kTile ? a.out - first : kTile;
    for (Index row = 0; !a.add && row < a.rows; ++row) {
      for (Index i = 0; i < count; ++i) a.y[row * a.y_stride + first + i] = 0;
    }
    Index k = 0;
    for (; k + 4 <= a.in; k += 4) AddScaledRows<4>(a, k, first, count);
    for (; k < a.in; ++k) AddScaledRows<1>(a, k, first, count);
  }
}

}  // namespace tutti::model::TUTTI_KERNEL_ISA
