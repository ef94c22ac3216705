#include "worker/agent/gpus.h"

#include <dlfcn.h>

#include <array>
#include <memory>

namespace tutti::agent {
namespace {

// The part of nvml.h that is used; its ABI is stable by these names (NVML API reference, "_v2").
using NvmlReturn = int;  // 0 = success
using NvmlDevice = void*;
struct NvmlMemory {
  unsigned long long total, free, used;  // bytes
};

struct LibraryCloser {
  void operator()(void* library) const { dlclose(library); }
};

class Nvml {
 public:
  Nvml() : library_(dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)) {
    if (!library_) return;
    const bool complete =
        Find(init_, "nvmlInit_v2") && Find(shutdown_, "nvmlShutdown") &&
        Find(count_, "nvmlDeviceGetCount_v2") && Find(by_index_, "nvmlDeviceGetHandleByIndex_v2") &&
        Find(name_, "nvmlDeviceGetName") && Find(memory_, "nvmlDeviceGetMemoryInfo");
    running_ = complete && init_() == 0;
  }
  ~Nvml() {
    if (running_) shutdown_();
  }
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  std::vector<Gpu> List() const {
    std::vector<Gpu> gpus;
    unsigned count = 0;
    if (!running_ || count_(&count) != 0) return gpus;
    for (unsigned index = 0; index < count; ++index) {
      NvmlDevice device = nullptr;
      if (by_index_(index, &device) != 0) continue;
      std::array<char, 128> name{};
      NvmlMemory memory{};
      if (name_(device, name.data(), static_cast<unsigned>(name.size() - 1)) != 0) continue;
      if (memory_(device, &memory) != 0) continue;
      gpus.push_back({.name = name.data(), .memory_bytes = memory.total});
    }
    return gpus;
  }

 private:
  template <typename Function>
  bool Find(Function*& function, const char* name) {
    function = reinterpret_cast<Function*>(dlsym(library_.get(), name));
    return function != nullptr;
  }

  std::unique_ptr<void, LibraryCloser> library_;
  NvmlReturn (*init_)() = nullptr;
  NvmlReturn (*shutdown_)() = nullptr;
  NvmlReturn (*count_)(unsigned*) = nullptr;
  NvmlReturn (*by_index_)(unsigned, NvmlDevice*) = nullptr;
  NvmlReturn (*name_)(NvmlDevice, char*, unsigned) = nullptr;
  NvmlReturn (*memory_)(NvmlDevice, NvmlMemory*) = nullptr;
  bool running_ = false;
};

}  // namespace

std::vector<Gpu> ProbeGpus() { return Nvml().List(); }

}  // namespace tutti::agent
