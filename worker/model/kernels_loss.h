// Cross entropy of a row of logits. Included by the kernel sources only (see kernels_vector.h).
#pragma once

#include "worker/model/kernels.h"
#include "worker/model/kernels_functions.h"
#include "worker/model/kernels_rows.h"
#include "worker/model/kernels_vector.h"

namespace tutti::model::TUTTI_KERNEL_ISA {

static TokenScore ScoreRow(const ScoreToken& args) {
  const ScoreToken a = args;
  F16 largest = Splat(-3.0e38F);
  F16 sums = {};
  ForColumns(a.V, [&](Index i, Index n) TUTTI_FLAT {
    const F16 v = LoadSome(a.logits + i, n);
    sums += v;
    largest = Max(largest, n == kWidth
                               ? v
                               : SelectLess(FirstLanes(), SplatBits(static_cast<std::uint32_t>(n)),
                                            v, Splat(-3.0e38F)));
  });
  const float top = Largest(largest);
  F16 exponentials = {};
  ForColumns(a.V, [&](Index i, Index n) TUTTI_FLAT {
    exponentials += ZeroTail(Exp(LoadSome(a.logits + i, n) - top), n);
  });
  const float total = Sum(exponentials);
  const float target = a.logits[a.target];
  TokenScore score;
  const double log_sum = static_cast<double>(top) + __builtin_log(static_cast<double>(total));
  score.nll = log_sum - static_cast<double>(target);
  score.uniform = log_sum - static_cast<double>(Sum(sums)) / static_cast<double>(a.V);
  score.right = target == top;
  for (Index i = 0; score.right && i < a.target; ++i) score.right = a.logits[i] != top;
  if (!a.gradient) return score;
  const float per = a.scale / total;
  const float spread = a.scale * a.smoothing / static_cast<float>(a.V);
  ForColumns(a.V, [&](Index i, Index n) TUTTI_FLAT {
    StoreSome(a.logits + i, Exp(LoadSome(a.logits + i, n) - top) * per - spread, n);
  });
  a.logits[a.target] -= a.scale * (1.0F - a.smoothing);
  return score;
}

}  // namespace tutti::model::TUTTI_KERNEL_ISA
