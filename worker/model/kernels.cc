#include "worker/model/kernels.h"

namespace tutti::model {

extern const Kernels kBaselineKernels;
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
#endif

std::vector<const Kernels*> RunnableKernels() {
  std::vector<const Kernels*> tables = {&kBaselineKernels};
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2) tables.push_back(&kAvx2Kernels);
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
    tables.push_back(&kAvx512Kernels);
  }
#endif
  return tables;
}

const Kernels& CpuKernels() {
  static const Kernels& kernels = *RunnableKernels().back();
  return kernels;
}

}  // namespace tutti::model
