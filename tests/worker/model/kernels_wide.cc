// The sixteen-lane kernels in plain instructions: their logic, on a CPU without AVX-512.
#define TUTTI_KERNEL_ISA wide
#define TUTTI_KERNEL_LANES 16
#include "worker/model/kernels_attention.h"

namespace tutti::model {

extern const Kernels kWideKernels;
const Kernels kWideKernels = wide::MakeTable("wide");

}  // namespace tutti::model
