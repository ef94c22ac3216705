#define TUTTI_KERNEL_ISA avx2
#define TUTTI_KERNEL_LANES 8
#include "worker/model/kernels_attention.h"

namespace tutti::model {

extern const Kernels kAvx2Kernels;
const Kernels kAvx2Kernels = avx2::MakeTable("avx2");

}  // namespace tutti::model
