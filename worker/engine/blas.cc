#include "worker/engine/blas.h"

#include <dlfcn.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "common/base/words.h"
#include "worker/model/kernels.h"

namespace tutti::engine {
namespace {

constexpr int kOpenMp = 2;  // OPENBLAS_OPENMP of cblas.h
constexpr const char* kHint = "apt install libopenblas0-openmp";
constexpr const char* kCoreVariable = "OPENBLAS_CORETYPE";

// The one that LibTorch's calls reach: the first in the global scope.
class LoadedBlas {
 public:
  LoadedBlas() {
    void* const sgemm = dlsym(RTLD_DEFAULT, "sgemm_");
    Dl_info owner{};
    if (sgemm == nullptr || dladdr(sgemm, &owner) == 0) return;
    file_ = owner.dli_fname;
    library_ = dlopen(owner.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  }
  ~LoadedBlas() {
    if (library_ != nullptr) dlclose(library_);
  }
  LoadedBlas(const LoadedBlas&) = delete;
  LoadedBlas& operator=(const LoadedBlas&) = delete;

  const std::string& file() const { return file_; }  // empty: there is none
  // Debian's libblas.so.3 of OpenBLAS forwards to libopenblas.so.0: what that library and those it
  // needs define, not what else happens to be loaded.
  template <typename Function>
  Function* Find(const char* name) const {
    return library_ == nullptr ? nullptr : reinterpret_cast<Function*>(dlsym(library_, name));
  }

 private:
  std::string file_;
  void* library_ = nullptr;
};

}  // namespace

Result<Blas> CheckBlas() {
  const LoadedBlas library;
  if (library.file().empty()) {
    return Fail(ErrorCode::kUnsupported, "no BLAS is loaded", "sgemm_", kHint);
  }
  Blas blas{.file = library.file(), .configuration = {}};
  const auto config = library.Find<char*()>("openblas_get_config");
  const auto parallel = library.Find<int()>("openblas_get_parallel");
  const auto mkl = library.Find<void(char*, int)>("MKL_Get_Version_String");
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

std::optional<std::string> BetterCore(std::string_view core, std::string_view isa) {
  const std::string name = LowerCase(core);
  for (const char* good : {"haswell", "zen", "skylakex", "cooperlake", "sapphirerapids"}) {
    if (name == good) return std::nullopt;
  }
  if (isa == "avx512") return "SkylakeX";
  if (isa == "avx2") return "Haswell";
  return std::nullopt;
}

void ExecuteOnBetterCore(char** arguments) {
  if (getenv(kCoreVariable) != nullptr) return;
  const LoadedBlas library;
  const auto core = library.Find<char*()>("openblas_get_corename");
  if (core == nullptr) return;
  const auto better = BetterCore(core(), model::CpuKernels().isa);
  if (!better || setenv(kCoreVariable, better->c_str(), /*overwrite=*/1) != 0) return;
  execv("/proc/self/exe", arguments);  // where this fails, the slow kernels do
}

}  // namespace tutti::engine
