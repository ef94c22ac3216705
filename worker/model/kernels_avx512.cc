#define TUTTI_KERNEL_ISA avx512
#define TUTTI_KERNEL_LANES 16
#include "worker/model/kernels_attention.h"

namespace tutti::model {

extern const Kernels kAvx512Kernels;
const Kernels kAvx512Kernels = avx512::MakeTable("avx512");

}  // namespace tutti::model
