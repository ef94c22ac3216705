#include "worker/engine/blas.h"

#include <dlfcn.h>

#include <array>

namespace tutti::engine {
namespace {

constexpr int kOpenMp = 2;  // OPENBLAS_OPENMP of cblas.h
constexpr const char* kHint = "apt install libopenblas0-openmp";

}  // namespace

Result<Blas> CheckBlas() {
  // The one that LibTorch's calls reach is the first in the global scope.
  void* const sgemm = dlsym(RTLD_DEFAULT, "sgemm_");
  Dl_info owner{};
  if (sgemm == nullptr || dladdr(sgemm, &owner) == 0) {
    return Fail(ErrorCode::kUnsupported, "no BLAS is loaded", "sgemm_", kHint);
  }
  Blas blas{.file = owner.dli_fname, .configuration = {}};
  // Debian's libblas.so.3 of OpenBLAS forwards to libopenblas.so.0: what that library and those it
  // needs define, not what else happens to be loaded.
  void* const library = dlopen(owner.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  const auto in_library = [library](const char* name) {
    return library == nullptr ? nullptr : dlsym(library, name);
  };
  const auto config = reinterpret_cast<char* (*)()>(in_library("openblas_get_config"));
  const auto parallel = reinterpret_cast<int (*)()>(in_library("openblas_get_parallel"));
  const auto mkl = reinterpret_cast<void (*)(char*, int)>(in_library("MKL_Get_Version_String"));
  if (library != nullptr) dlclose(library);
  if (mkl != nullptr) {
    std::array<char, 200> version{};
    mkl(version.data(), static_cast<int>(version.size()) - 1);
    blas.configuration = version.data();
    return blas;
  }
  if (config == nullptr || parallel == nullptr) {
    return Fail(ErrorCode::kUnsupported, "the loaded BLAS is not OpenBLAS", blas.file, kHint);
  }
  blas.configuration = config();
  if (parallel() != kOpenMp) {
    return Fail(ErrorCode::kUnsupported,
                "the loaded OpenBLAS is not built on OpenMP (" + blas.configuration + ")",
                blas.file, kHint);
  }
  return blas;
}

}  // namespace tutti::engine
