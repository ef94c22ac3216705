#include "worker/engine/threads.h"

#include <ATen/Parallel.h>

namespace tutti::engine {

void SetThreads(int threads) { at::set_num_threads(threads); }

}  // namespace tutti::engine
