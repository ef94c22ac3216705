// Row kernels: LayerNorm with what surrounds it, activations, bias, column sums, dropout. Included
// by the kernel sources only (see kernels_vector.h).
#pragma once

#include "worker/model/kernels.h"
#include "worker/model/kernels_functions.h"
#include "worker/model/kernels_vector.h"

namespace tutti::model::TUTTI_KERNEL_ISA {

// Calls body(i, lanes) for every group of 16 columns; the last may be shorter.
template <typename Body>
TUTTI_INLINE void ForColumns(Index H, Body body) {
  Index i = 0;
  for (; i + kWidth <= H; i += kWidth) body(i, kWidth);
  if (i < H) body(i, H - i);
}
TUTTI_INLINE F16 LoadSome(const float* p, Index n) {
  return n == kWidth ? Load(p) : LoadPart(p, n);
}
TUTTI_INLINE void StoreSome(float* p, F16 v, Index n) {
  if (n == kWidth) {
    Store(p, v);
  } else {
    StorePart(p, v, n);
  }
}
// Column sums from `i` on, where they are asked for.
TUTTI_INLINE void AddSome(float* sums, Index i, F16 v, Index n) {
  if (sums != nullptr) StoreSome(sums + i, LoadSome(sums + i, n) + v, n);
}
TUTTI_INLINE F16 ZeroTail(F16 v, Index n) { return n == kWidth ? v : KeepFirst(v, n); }

static void AddNormForwardRows(const AddNormForward& args) {
  const AddNormForward a = args;  // a copy: stores through its pointers cannot change it
  const Index H = a.H;
  const bool drop = a.dropout.probability > 0;
  const Keep keep = KeepOf(a.dropout);
  const float per_column = 1.0F / static_cast<float>(H);
  for (Index row = 0; row < a.rows; ++row) {
    const float* in = a.in + row * H;
    float* x = a.normalised + row * H;
    F16 sums = {};
    ForColumns(H, [&](Index i, Index n) TUTTI_FLAT {
      F16 v = LoadSome(in + i, n);
      if (a.bias != nullptr) v += LoadSome(a.bias + i, n);
      if (drop) v *= KeepLanes(keep, row * H + i);
      if (a.residual != nullptr) v += LoadSome(a.residual + row * H + i, n);
      v = ZeroTail(v, n);
      StoreSome(x + i, v, n);
      if (a.sum != nullptr) StoreSome(a.sum + row * H + i, v, n);
      sums += v;
    });
    const F16 mean = Splat(a.centred ? Sum(sums) * per_column : 0.0F);
    F16 squares = {};
    ForColumns(H, [&](Index i, Index n) TUTTI_FLAT {
      const F16 v = ZeroTail(LoadSome(x + i, n) - mean, n);
      squares += v * v;
    });
    const float inverse = 1.0F / __builtin_sqrtf(Sum(squares) * per_column + a.epsilon);
    a.inverse[row] = inverse;
    float* out = a.out + row * H;
    ForColumns(H, [&](Index i, Index n) TUTTI_FLAT {
      const F16 v = (LoadSome(x + i, n) - mean) * inverse;
      StoreSome(x + i, v, n);
      F16 scaled = v * LoadSome(a.gamma + i, n);
      if (a.beta != nullptr) scaled += LoadSome(a.beta + i, n);
      StoreSome(out + i, scaled, n);
    });
  }
}

static void AddNormBackwardRows(const AddNormBackward& args) {
  const AddNormBackward a = args;
  const Index H = a.H;
  const bool drop = a.dropout.probability > 0;
  const Keep keep = KeepOf(a.dropout);
  const float per_column = 1.0F / static_cast<float>(H);
  for (Index row = 0; row < a.rows; ++row) {
    const float* grad_out = a.grad_out + row * H;
    const float* x = a.normalised + row * H;
    F16 sum = {}, sum_x = {};
    ForColumns(H, [&](Index i, Index n) TUTTI_FLAT {
      const F16 grad = LoadSome(grad_out + i, n);
      const F16 value = LoadSome(x + i, n);
      AddSome(a.grad_gamma, i, grad * value, n);
      AddSome(a.grad_beta, i, grad, n);
      const F16 scaled = grad * LoadSome(a.gamma + i, n);
      sum += scaled;
      sum_x += scaled * value;
    });
    const float mean = a.centred ? Sum(sum) * per_column : 0.0F;
    const float mean_x = Sum(sum_x) * per_column;
    const float inverse = a.inverse[row];
    ForColumns(H, [&](Index i, Index n) TUTTI_FLAT {
      const F16 scaled = LoadSome(grad_out + i, n) * LoadSome(a.gamma + i, n);
      F16 grad = (scaled - mean - LoadSome(x + i, n) * mean_x) * inverse;
      if (a.grad_residual != nullptr) grad += LoadSome(a.grad_residual + row * H + i, n);
      StoreSome(a.grad_sum + row * H + i, grad, n);
      if (drop) {
        grad *= KeepLanes(keep, row * H + i);
        StoreSome(a.grad_in + row * H + i, grad, n);
      }
      AddSome(a.grad_bias, i, grad, n);
    });
  }
}

struct ValueAndSlope {
  F16 value, slope;
};

// x·Φ(x) and Φ(x) + x·φ(x). Φ by Abramowitz and Stegun 7.1.26 (|error| < 1.5e-7), whose exponential
// is the density's.
TUTTI_INLINE ValueAndSlope Gelu(F16 x) {
  const F16 z = x * 0.70710678118654752F;
  const F16 magnitude = Max(z, -z);
  const F16 t = 1.0F / (magnitude * 0.3275911F + 1.0F);
  F16 p = Splat(1.061405429F);
  p = p * t - 1.453152027F;
  p = p * t + 1.421413741F;
  p = p * t - 0.284496736F;
  p = p * t + 0.254829592F;
  const F16 density = Exp(-(z * z));
  const F16 tail = p * t * density * 0.5F;  // Φ(−|x|)
  const F16 phi = SelectLess(x, Splat(0), tail, 1.0F - tail);
  return {x * phi, phi + x * density * 0.3989422804014327F};
}

TUTTI_INLINE F16 Tanh(F16 x) { return 1.0F - 2.0F / (Exp(x * 2.0F) + 1.0F); }
TUTTI_INLINE F16 Sigmoid(F16 x) { return 1.0F / (Exp(-x) + 1.0F); }

TUTTI_INLINE ValueAndSlope GeluTanh(F16 x) {
  constexpr float kScale = 0.7978845608028654F;  // sqrt(2 / π)
  const F16 square = x * x;
  const F16 t = Tanh(x * (square * 0.044715F + 1.0F) * kScale);
  const F16 inner = (square * (3.0F * 0.044715F) + 1.0F) * kScale;
  return {x * 0.5F * (t + 1.0F), (t + 1.0F) * 0.5F + x * 0.5F * (1.0F - t * t) * inner};
}

TUTTI_INLINE ValueAndSlope SigmoidLinear(F16 x, float beta) {
  const F16 s = Sigmoid(x * beta);
  return {x * s, s + x * beta * s * (1.0F - s)};
}

template <Activation f>
TUTTI_INLINE ValueAndSlope Activate(F16 x) {
  if constexpr (f == Activation::kGelu) return Gelu(x);
  if constexpr (f == Activation::kGeluTanh) return GeluTanh(x);
  if constexpr (f == Activation::kQuickGelu) return SigmoidLinear(x, 1.702F);
  if constexpr (f == Activation::kSilu) return SigmoidLinear(x, 1.0F);
  if constexpr (f == Activation::kRelu) {
    return {Max(x, Splat(0)), SelectLess(Splat(0), x, Splat(1), Splat(0))};
  }
  if constexpr (f == Activation::kTanh) {
    const F16 t = Tanh(x);
    return {t, 1.0F - t * t};
  }
}

template <Activation f>
static void ActivateRows(Index rows, Index I, float* z, const float* bias, float* a, bool keep) {
  for (Index row = 0; row < rows; ++row) {
    ForColumns(I, [&](Index i, Index n) TUTTI_FLAT {
      float* at = z + row * I + i;
      F16 x = LoadSome(at, n);
      if (bias != nullptr) x += LoadSome(bias + i, n);
      const ValueAndSlope r = Activate<f>(x);
      StoreSome(a + row * I + i, r.value, n);
      if (keep) StoreSome(at, r.slope, n);
    });
  }
}

static void ActivationForward(Activation f, Index rows, Index I, float* z, const float* bias,
                              float* a, bool keep) {
  switch (f) {
    case Activation::kGelu:
      return ActivateRows<Activation::kGelu>(rows, I, z, bias, a, keep);
    case Activation::kGeluTanh:
      return ActivateRows<Activation::kGeluTanh>(rows, I, z, bias, a, keep);
    case Activation::kQuickGelu:
      return ActivateRows<Activation::kQuickGelu>(rows, I, z, bias, a, keep);
    case Activation::kRelu:
      return ActivateRows<Activation::kRelu>(rows, I, z, bias, a, keep);
    case Activation::kSilu:
      return ActivateRows<Activation::kSilu>(rows, I, z, bias, a, keep);
    case Activation::kTanh:
      return ActivateRows<Activation::kTanh>(rows, I, z, bias, a, keep);
  }
}

static void ActivationBackward(Index rows, Index I, const float* derivative, float* grad,
                               float* grad_bias) {
  for (Index row = 0; row < rows; ++row) {
    ForColumns(I, [&](Index i, Index n) TUTTI_FLAT {
      const Index at = row * I + i;
      const F16 v = LoadSome(grad + at, n) * LoadSome(derivative + at, n);
      StoreSome(grad + at, v, n);
      if (grad_bias != nullptr) StoreSome(grad_bias + i, LoadSome(grad_bias + i, n) + v, n);
    });
  }
}

static void DropoutInPlace(const Dropout& dropout, Index count, float* x) {
  if (!(dropout.probability > 0)) return;
  const Keep keep = KeepOf(dropout);
  ForColumns(count, [&](Index i, Index n) TUTTI_FLAT {
    StoreSome(x + i, LoadSome(x + i, n) * KeepLanes(keep, i), n);
  });
}

static void AddBias(Index rows, Index H, float* x, Index stride, const float* bias) {
  for (Index row = 0; row < rows; ++row) {
    float* at = x + row * stride;
    ForColumns(H, [&](Index i, Index n) TUTTI_FLAT {
      StoreSome(at + i, LoadSome(at + i, n) + LoadSome(bias + i, n), n);
    });
  }
}

static void AddColumnSums(Index rows, Index H, const float* x, Index stride, float* sums) {
  for (Index row = 0; row < rows; ++row) {
    const float* at = x + row * stride;
    ForColumns(H, [&](Index i, Index n) TUTTI_FLAT {
      StoreSome(sums + i, LoadSome(sums + i, n) + LoadSome(at + i, n), n);
    });
  }
}

static void Add(Index count, float* x, const float* y) {
  ForColumns(count, [&](Index i, Index n) TUTTI_FLAT {
    StoreSome(x + i, LoadSome(x + i, n) + LoadSome(y + i, n), n);
  });
}

static void Multiply(Index count, float* out, const float* a, const float* b) {
  ForColumns(count, [&](Index i, Index n) TUTTI_FLAT {
    StoreSome(out + i, LoadSome(a + i, n) * LoadSome(b + i, n), n);
  });
}

static void Add3(Index count, float* out, const float* a, const float* b, const float* c) {
  ForColumns(count, [&](Index i, Index n) TUTTI_FLAT {
    StoreSome(out + i, LoadSome(a + i, n) + LoadSome(b + i, n) + LoadSome(c + i, n), n);
  });
}

}  // namespace tutti::model::TUTTI_KERNEL_ISA
