#include "worker/model/kernels.h"

namespace tutti::model {

extern const Kernels kBaselineKernels;
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
#endif

namespace {

const Kernels& Choose() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
    return kAvx512Kernels;
  }
  if (avx2) return kAvx2Kernels;
#endif
  return kBaselineKernels;
}

}  // namespace

const Kernels& CpuKernels() {
  static const Kernels& kernels = Choose();
  return kernels;
}

}  // namespace tutti::model
