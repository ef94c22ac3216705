#define TUTTI_KERNEL_ISA baseline
#define TUTTI_KERNEL_LANES 4
#include "worker/model/kernels_attention.h"

namespace tutti::model {

extern const Kernels kBaselineKernels;
const Kernels kBaselineKernels = baseline::MakeTable("baseline");

}  // namespace tutti::model
