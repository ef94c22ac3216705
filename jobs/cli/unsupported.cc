#include "jobs/cli/unsupported.h"

#include <array>

namespace tutti::cli {
namespace {

constexpr std::array kCommands = {
    Unsupported{"pool", "scale a pool of workers", "`tutti up --workers N` starts that many"},
    Unsupported{"model pull", "download a model from a hub",
                "download it with the hub's own client and name its folder: model: ./NAME"},
    Unsupported{"model deploy", "serve a model", "`tutti model try` answers single texts"},
    Unsupported{"model undeploy", "stop serving a model", ""},
    Unsupported{"model publish", "publish a model as an app", ""},
};

}  // namespace

std::span<const Unsupported> UnsupportedCommands() { return kCommands; }

}  // namespace tutti::cli
