// Which BLAS the program runs on. The zygote forks: a BLAS that starts threads when it is loaded
// (OpenBLAS on pthreads) would break it, and the reference BLAS is thirty times slower.
#pragma once

#include <string>

#include "common/base/result.h"

namespace tutti::engine {

struct Blas {
  std::string file;           // of the library that answers sgemm
  std::string configuration;  // OpenBLAS's own description: version, kernel, threading
};

// kUnsupported, with what to install, unless it is OpenBLAS built on OpenMP.
Result<Blas> CheckBlas();

}  // namespace tutti::engine
