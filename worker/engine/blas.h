// Which BLAS the program runs on. The zygote forks: a BLAS that starts threads when it is loaded
// (OpenBLAS on pthreads) would break it, and the reference BLAS is thirty times slower.
#pragma once

#include <string>

#include "common/base/result.h"

namespace tutti::engine {

struct Blas {
  std::string file;           // of the library that answers sgemm
  std::string configuration;  // its own description: version, and OpenBLAS's kernel and threading
};

// kUnsupported, with what to install, unless it is OpenBLAS built on OpenMP or the MKL that a
// LibTorch with CUDA has inside.
Result<Blas> CheckBlas();

}  // namespace tutti::engine
