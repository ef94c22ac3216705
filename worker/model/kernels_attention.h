// Attention of one row's heads, forward and backward, on a register-blocked product of small
// matrices. Included by the kernel sources only (see kernels_vector.h).
#pragma once

#include "worker/model/kernels.h"
#include "worker/model/kernels_functions.h"
#include "worker/model/kernels_rows.h"
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

// In place softmax(scale · x) over the first n of `padded` columns; zeros behind.
static void SoftmaxRow(Index n, Index padded, float scale, float* x) {
  F16 largest = Splat(-3.0e38F);
  const Index whole = n / kWidth * kWidth;
  const U16 tail = SplatBits(static_cast<std::uint32_t>(n - whole));
  for (Index i = 0; i < padded; i += kWidth) {
    F16 v = Load(x + i) * scale;
    if (i >= whole) v = SelectLess(FirstLanes(), tail, v, Splat(-3.0e38F));
    Store(x + i, v);
    largest = Max(largest, v);
  }
  const F16 top = Splat(Largest(largest));
  F16 sums = {};
  for (Index i = 0; i < padded; i += kWidth) {
    F16 v = Exp(Load(x + i) - top);
    if (i >= whole) v = SelectLess(FirstLanes(), tail, v, Splat(0));
    Store(x + i, v);
    sums += v;
  }
  const float inverse = 1.0F / Sum(sums);
  for (Index i = 0; i < padded; i += kWidth) Store(x + i, Load(x + i) * inverse);
}

static void AttendForward(const AttentionForward& a) {
  const AttentionShape& s = a.shape;
  const Index T = s.keys, Q = s.queries, D = s.head_dim;
  const Index padded = s.padded_keys(), padded_dim = s.padded_dim();
  float* keys = a.scratch;
  float* dropped = keys + D * padded;
  float* copy = dropped + Q * padded;
  float* copy_out = copy + padded_dim * (T > Q ? T : Q);
  for (Index h = 0; h < s.heads; ++h) {
    float* p = a.probabilities + h * Q * padded;
    Transpose(T, D, padded, a.k.base + h * D, a.k.stride, keys);
    Product(Q, padded, D, {a.q.base + h * D, a.q.stride, 1}, keys, padded, p, padded);
    for (Index i = 0; i < Q; ++i) SoftmaxRow(T, padded, s.scale, p + i * padded);
    const float* weights = p;
    if (a.dropout.probability > 0) {
      const Keep keep =
          KeepOf({MixBits(a.dropout.key + static_cast<std::uint64_t>(h)), a.dropout.probability});
      for (Index i = 0; i < Q * padded; i += kWidth) {
        Store(dropped + i, Load(p + i) * KeepLanes(keep, i));
      }
      weights = dropped;
    }
    const Right v = Padded(T, D, padded_dim, a.v.base + h * D, a.v.stride, copy);
    ProductTo(Q, D, padded_dim, T, {weights, padded, 1}, v, a.out.base + h * D, a.out.stride,
              copy_out);
  }
}

// dS = P ∘ (dP − rowsum(dP ∘ P)) · scale, in place of dP; dP already has dropout's multipliers.
TUTTI_INLINE void SoftmaxBackwardRow(Index padded, float scale, const float* p, float* grad) {
  F16 sums = {};
  for (Index i = 0; i < padded; i += kWidth) sums += Load(grad + i) * Load(p + i);
  const float sum = Sum(sums);
  for (Index i = 0; i < padded; i += kWidth) {
    Store(grad + i, Load(p + i) * (Load(grad + i) - sum) * scale);
  }
}

static void AttendBackward(const AttentionBackward& a) {
  const AttentionShape& s = a.shape;
  const Index T = s.keys, Q = s.queries, D = s.head_dim;
  const Index padded = s.padded_keys(), padded_dim = s.padded_dim();
  const bool drop = a.dropout.probability > 0;
  float* values = a.scratch;
  float* grad = values + D * padded;
  float* dropped = grad + Q * padded;
  float* copy = dropped + Q * padded;
  float* copy_out = copy + padded_dim * (T > Q ? T : Q);
  for (Index h = 0; h < s.heads; ++h) {
    const float* p = a.probabilities + h * Q * padded;
    const float* grad_out = a.grad_out.base + h * D;
    const float* weights = p;
    const Keep keep =
        KeepOf({MixBits(a.dropout.key + static_cast<std::uint64_t>(h)), a.dropout.probability});
    Transpose(T, D, padded, a.v.base + h * D, a.v.stride, values);
    Product(Q, padded, D, {grad_out, a.grad_out.stride, 1}, values, padded, grad, padded);
    if (drop) {
      for (Index i = 0; i < Q * padded; i += kWidth) {
        const F16 lanes = KeepLanes(keep, i);
        Store(dropped + i, Load(p + i) * lanes);
        Store(grad + i, Load(grad + i) * lanes);
      }
      weights = dropped;
    }
    Right right = Padded(Q, D, padded_dim, grad_out, a.grad_out.stride, copy);
    ProductTo(T, D, padded_dim, Q, {weights, 1, padded}, right, a.grad_v.base + h * D,
              a.grad_v.stride, copy_out);
    for (Index i = 0; i < Q; ++i) {
      SoftmaxBackwardRow(padded, s.scale, p + i * padded, grad + i * padded);
    }
    right = Padded(T, D, padded_dim, a.k.base + h * D, a.k.stride, copy);
    ProductTo(Q, D, padded_dim, T, {grad, padded, 1}, right, a.grad_q.base + h * D, a.grad_q.stride,
              copy_out);
    right = Padded(Q, D, padded_dim, a.q.base + h * D, a.q.stride, copy);
    ProductTo(T, D, padded_dim, Q, {grad, 1, padded}, right, a.grad_k.base + h * D, a.grad_k.stride,
              copy_out);
  }
}

constexpr Kernels MakeTable(const char* isa) {
  return {.isa = isa,
          .add_norm_forward = AddNormForwardRows,
          .add_norm_backward = AddNormBackwardRows,
          .activation_forward = ActivationForward,
          .activation_backward = ActivationBackward,
          .attention_forward = AttendForward,
          .attention_backward = AttendBackward,
          .dropout = DropoutInPlace,
          .add_bias = AddBias,
          .add_column_sums = AddColumnSums,
          .add = Add,
          .add3 = Add3};
}

}  // namespace tutti::model::TUTTI_KERNEL_ISA
