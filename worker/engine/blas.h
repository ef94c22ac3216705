// Which BLAS the program runs on. The zygote forks: a BLAS that starts threads when it is loaded
// (OpenBLAS on pthreads) would break it, and the reference BLAS is thirty times slower.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace tutti::engine {

struct Blas {
  std::string file;           // of the library that answers sgemm
  std::string configuration;  // its own description: version, and OpenBLAS's kernel and threading
};

// kUnsupported, with what to install, unless it is OpenBLAS built on OpenMP or the MKL that a
// LibTorch with CUDA has inside.
Result<Blas> CheckBlas();

// What OPENBLAS_CORETYPE should say where OpenBLAS took the kernels `core` on a CPU that runs `isa`
// (model::Kernels). It knows processors by their model numbers, and takes kernels without AVX2 for
// those that are newer than it is, which are several times slower. nullopt: its choice is good.
std::optional<std::string> BetterCore(std::string_view core, std::string_view isa);

// Executes this program anew with OPENBLAS_CORETYPE where BetterCore has one and nobody has set
// it: OpenBLAS reads it when it is loaded. For main(), before anything else; returns otherwise.
void ExecuteOnBetterCore(char** arguments);

}  // namespace tutti::engine
