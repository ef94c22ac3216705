#include "worker/train/adamw.h"

#include <algorithm>
#include <cmath>

#include "common/base/check.h"

// One body per instruction set, chosen when the program starts. Contraction into fused operations
// is off for this file, so every one gives the same bits.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define TUTTI_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define TUTTI_CLONES
#endif

namespace tutti::train {
namespace {

struct Factors {
  float keep;  // 1 − lr·wd
  float beta1, beta2;
  float rest1, rest2;  // 1 − β
  float step_size;     // lr / (1 − β1^t)
  float root;          // sqrt(1 − β2^t)
  float epsilon;
  float grad_scale;
};

TUTTI_CLONES void Update(const Factors f, std::int64_t count, float* __restrict params,
                         const float* __restrict grads, float* __restrict first,
                         float* __restrict second) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float grad = grads[i] * f.grad_scale;
    const float m = first[i] * f.beta1 + grad * f.rest1;
    const float v = second[i] * f.beta2 + grad * grad * f.rest2;
    first[i] = m;
    second[i] = v;
    const float denominator = __builtin_sqrtf(v) / f.root + f.epsilon;
    params[i] = params[i] * f.keep - f.step_size * m / denominator;
  }
}

}  // namespace

void AdamWStep(const AdamWOptions& o, std::span<const DecaySegment> segments,
               const AdamWSlice& slice) {
  TUTTI_CHECK(o.step >= 1, "AdamW's steps are counted from 1");
  const auto t = static_cast<double>(o.step);
  Factors factors{.keep = 1,
                  .beta1 = static_cast<float>(o.beta1),
                  .beta2 = static_cast<float>(o.beta2),
                  .rest1 = static_cast<float>(1 - o.beta1),
                  .rest2 = static_cast<float>(1 - o.beta2),
                  .step_size = static_cast<float>(o.learning_rate / (1 - std::pow(o.beta1, t))),
                  .root = static_cast<float>(std::sqrt(1 - std::pow(o.beta2, t))),
                  .epsilon = static_cast<float>(o.epsilon),
                  .grad_scale = static_cast<float>(o.grad_scale)};
  const auto kept = static_cast<float>(1 - o.learning_rate * o.weight_decay);
  for (const DecaySegment& segment : segments) {
    const std::int64_t begin = std::max(segment.begin, slice.begin);
    const std::int64_t end = std::min(segment.end, slice.end);
    if (begin >= end) continue;
    factors.keep = segment.decay ? kept : 1.0F;
    Update(factors, end - begin, slice.params + begin, slice.grads + begin, slice.first + begin,
           slice.second + begin);
  }
}

}  // namespace tutti::train
