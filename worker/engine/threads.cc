#include "worker/engine/threads.h"

#include <ATen/Parallel.h>

namespace tutti::engine {

// LibTorch takes OMP_NUM_THREADS as it is; to set the number starts a thread pool that costs a fork
// milliseconds of both cores.
void SetThreads(int threads) {
  if (at::get_num_threads() != threads) at::set_num_threads(threads);
}

}  // namespace tutti::engine
