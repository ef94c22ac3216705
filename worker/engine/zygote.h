// `tutti-engine zygote --fd N`: a process that has loaded every library once and forks ranks and
// tools from there, so that a gang starts in a tenth of the time. It speaks enginelink's Spawn,
// Spawned and Exited over one SOCK_SEQPACKET socket.
//
// It must never have a second thread: fork would copy that thread's locks without the thread. It
// runs no tensor operation, checks its thread count before each fork and refuses to fork with more
// than one. It dies with its worker and takes its children along.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/file/file.h"

namespace tutti::engine {

struct ZygoteHooks {
  // In the child, in place of exec: the command's arguments to its exit status.
  std::function<int(const std::vector<std::string>& arguments)> run;
  // In the child, before `run`: threads for tensor operations.
  std::function<void(int threads)> set_threads;
};

// Serves until the worker closes `control`. Called on the only thread of the program.
Status RunZygote(UniqueFd control, const ZygoteHooks& hooks);

}  // namespace tutti::engine
