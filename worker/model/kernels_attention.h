// Attention of one row's heads, forward and backward. Included by the kernel sources only (see
// kernels_vector.h).
#pragma once

#include "worker/model/kernels.h"
#include "worker/model/kernels_bfloat16.h"
#include "worker/model/kernels_few_rows.h"
#include "worker/model/kernels_functions.h"
#include "worker/model/kernels_loss.h"
#include "worker/model/kernels_product.h"
#include "worker/model/kernels_rows.h"
#include "worker/model/kernels_vector.h"

namespace tutti::model::TUTTI_KERNEL_ISA {

// A product into, or with `add` onto, a gradient of keys or values.
static void GradientTo(Index M, Index dim, Index padded, Index K, Left a, Right b, Heads out,
                       float* copy, bool add) {
  if (!add) return ProductTo(M, dim, padded, K, a, b, out.base, out.stride, copy);
  Product(M, padded, K, a, b.base, b.stride, copy, padded);
  for (Index i = 0; i < M; ++i) {
    for (Index d = 0; d < dim; ++d) out.base[i * out.stride + d] += copy[i * padded + d];
  }
}

// The keys [from, to) that query i sees.
struct Seen {
  Index from, to;
};
TUTTI_INLINE Seen SeenBy(const AttentionShape& s, Index i) {
  const Index to = s.causal ? s.keys - s.queries + i + 1 : s.keys;
  return {s.window > 0 && to > s.window ? to - s.window : 0, to};
}

// Causal queries see a triangle of the keys: products are cut into chunks of so many queries or
// keys, each as wide as its last query sees. What is left out are products with zeros, so that the
// bits are those of the whole.
constexpr Index kChunk = 24;  // whole blocks of any instruction set

// A chunk of queries and the columns, a multiple of 16, that it needs.
struct Chunk {
  Index begin, count, columns;
};
template <typename Body>
TUTTI_INLINE void ForChunks(const AttentionShape& s, Body body) {
  const Index step = s.causal ? kChunk : s.queries;
  for (Index begin = 0; begin < s.queries; begin += step) {
    const Index count = step < s.queries - begin ? step : s.queries - begin;
    const Index to = SeenBy(s, begin + count - 1).to;
    body(Chunk{begin, count, (to + kWidth - 1) / kWidth * kWidth});
  }
}

// c[M, N] = a[M, K] b[K, N] of queries and keys, where N are keys.
static void ProductToKeys(const AttentionShape& s, const float* a, Index stride, const float* b,
                          float* c) {
  const Index padded = s.padded_keys();
  ForChunks(s, [&](const Chunk& one) TUTTI_FLAT {
    Product(one.count, one.columns, s.head_dim, {a + one.begin * stride, stride, 1}, b, padded,
            c + one.begin * padded, padded);
  });
}
// out[Q, dim] = weights[Q, keys] b.
static void ProductFromKeys(const AttentionShape& s, const float* weights, Right b, float* out,
                            Index stride, float* copy) {
  const Index padded = s.padded_keys();
  ForChunks(s, [&](const Chunk& one) TUTTI_FLAT {
    const Index keys = one.columns < s.keys ? one.columns : s.keys;
    ProductTo(one.count, s.head_dim, s.padded_dim(), keys,
              {weights + one.begin * padded, padded, 1}, b, out + one.begin * stride, stride, copy);
  });
}
// out[keys, dim] = weightsᵀ b, or added to it: no query before the chunk of keys sees it.
static void GradientOfKeys(const AttentionShape& s, const float* weights, Right b, Heads out,
                           float* copy, bool add) {
  const Index padded = s.padded_keys(), step = s.causal ? kChunk : s.keys;
  for (Index begin = 0; begin < s.keys; begin += step) {
    const Index count = step < s.keys - begin ? step : s.keys - begin;
    const Index cached = s.keys - s.queries;
    const Index first = s.causal && begin > cached ? begin - cached : 0;
    GradientTo(count, s.head_dim, s.padded_dim(), s.queries - first,
               {weights + first * padded + begin, 1, padded}, {b.base + first * b.stride, b.stride},
               {out.base + begin * out.stride, out.stride}, copy, add);
  }
}

// In place softmax(scale · x) over the seen ones of `padded` columns; zeros elsewhere.
static void SoftmaxRow(Seen seen, Index padded, float scale, float* x) {
  F16 largest = Splat(-3.0e38F);
  const Index n = seen.to;
  const Index begin = seen.from / kWidth * kWidth;
  const Index whole = n / kWidth * kWidth;
  const Index end = (n + kWidth - 1) / kWidth * kWidth;
  const U16 tail = SplatBits(static_cast<std::uint32_t>(n - whole));
  for (Index i = 0; i < begin; ++i) x[i] = 0;
  for (Index i = begin; i < seen.from; ++i) x[i] = -3.0e38F;
  for (Index i = end; i < padded; ++i) x[i] = 0;
  for (Index i = begin; i < end; i += kWidth) {
    F16 v = Load(x + i) * scale;
    if (i >= whole) v = SelectLess(FirstLanes(), tail, v, Splat(-3.0e38F));
    Store(x + i, v);
    largest = Max(largest, v);
  }
  const F16 top = Splat(Largest(largest));
  F16 sums = {};
  for (Index i = begin; i < end; i += kWidth) {
    F16 v = Exp(Load(x + i) - top);
    if (i >= whole) v = SelectLess(FirstLanes(), tail, v, Splat(0));
    Store(x + i, v);
    sums += v;
  }
  const float inverse = 1.0F / Sum(sums);
  for (Index i = begin; i < end; i += kWidth) Store(x + i, Load(x + i) * inverse);
  for (Index i = begin; i < seen.from; ++i) x[i] = 0;
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
    const Index kv = h / s.group() * D;
    Transpose(T, D, padded, a.k.base + kv, a.k.stride, keys);
    ProductToKeys(s, a.q.base + h * D, a.q.stride, keys, p);
    for (Index i = 0; i < Q; ++i) SoftmaxRow(SeenBy(s, i), padded, s.scale, p + i * padded);
    const float* weights = p;
    if (a.dropout.probability > 0) {
      const Keep keep =
          KeepOf({MixBits(a.dropout.key + static_cast<std::uint64_t>(h)), a.dropout.probability});
      for (Index i = 0; i < Q * padded; i += kWidth) {
        Store(dropped + i, Load(p + i) * KeepLanes(keep, i));
      }
      weights = dropped;
    }
    const Right v = Padded(T, D, padded_dim, a.v.base + kv, a.v.stride, copy);
    ProductFromKeys(s, weights, v, a.out.base + h * D, a.out.stride, copy_out);
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
    const Index kv = h / s.group() * D;
    const bool add = h % s.group() != 0;  // to what the group's heads before brought
    Transpose(T, D, padded, a.v.base + kv, a.v.stride, values);
    ProductToKeys(s, grad_out, a.grad_out.stride, values, grad);
    ForChunks(s, [&](const Chunk& one) TUTTI_FLAT {
      for (Index i = one.begin; i < one.begin + one.count; ++i) {
        for (Index j = one.columns; j < padded; ++j) grad[i * padded + j] = 0;
      }
    });
    if (drop) {
      for (Index i = 0; i < Q * padded; i += kWidth) {
        const F16 lanes = KeepLanes(keep, i);
        Store(dropped + i, Load(p + i) * lanes);
        Store(grad + i, Load(grad + i) * lanes);
      }
      weights = dropped;
    }
    Right right = Padded(Q, D, padded_dim, grad_out, a.grad_out.stride, copy);
    GradientOfKeys(s, weights, right, {a.grad_v.base + kv, a.grad_v.stride}, copy_out, add);
    for (Index i = 0; i < Q; ++i) {
      SoftmaxBackwardRow(padded, s.scale, p + i * padded, grad + i * padded);
    }
    right = Padded(T, D, padded_dim, a.k.base + kv, a.k.stride, copy);
    ProductFromKeys(s, grad, right, a.grad_q.base + h * D, a.grad_q.stride, copy_out);
    right = Padded(Q, D, padded_dim, a.q.base + h * D, a.q.stride, copy);
    GradientOfKeys(s, grad, right, {a.grad_k.base + kv, a.grad_k.stride}, copy_out, add);
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
          .multiply = Multiply,
          .score_token = ScoreRow,
          .few_rows = ProductOfFewRows,
          .add3 = Add3,
          .round_bf16 = RoundBf16,
          .narrow_bf16 = NarrowBf16,
          .widen_bf16 = WidenBf16};
}

}  // namespace tutti::model::TUTTI_KERNEL_ISA
