// A BLAS that is found before the real one (LD_PRELOAD): no OpenBLAS, or with TUTTI_PTHREADS one
// that says it is built on threads of its own, or with TUTTI_OLD_CORE one that takes the kernels of
// an old processor, and says what it was told to take.
extern "C" void sgemm_() {}

#ifdef TUTTI_PTHREADS
extern "C" const char* openblas_get_config() { return "OpenBLAS of a test"; }
extern "C" int openblas_get_parallel() { return 1; }
#endif

#ifdef TUTTI_OLD_CORE
#include <cstdio>
#include <cstdlib>

extern "C" const char* openblas_get_corename() { return "Prescott"; }
extern "C" const char* openblas_get_config() { return "OpenBLAS of a test"; }
extern "C" int openblas_get_parallel() { return 2; }

namespace {
__attribute__((constructor)) void SayCore() {
  const char* const core = std::getenv("OPENBLAS_CORETYPE");
  std::fprintf(stderr, "core: %s\n", core == nullptr ? "not set" : core);
}
}  // namespace
#endif
